package postconf

// paramsShaping say what the hosts of others bear, beyond what holds for all of them.
var paramsShaping = []entry{
	{"smtp_host_connection_limit", number(0, 0), "20", "connections to one address at a time, over all destinations; 0: no limit"},
	{"smtp_shaping_maps", list(), "", "tables of limits for sites, by domain or host; they come before smtp_shaping_defaults"},
	{"smtp_shaping_defaults", list(), shapingDefaults, "limits for the large providers; empty: none"},
}

// shapingDefaults is how much mail at a time the large providers get unless the operator
// knows better. Few of them publish a number. What is here is on the careful side of what
// they say, and of what senders with no reputation yet have found (docs/shaping.md has the
// sources). The replies after slow= are those that ask for less; none of them is one that
// only means "not at the first try" (greylisting).
const shapingDefaults = `inline:{` +
	// support.google.com/mail/answer/81126 and /a/answer/3726730: 421 4.7.28 for too much at
	// a time, 4.7.26 to 4.7.40 "has been rate limited" for mail that does not say who sent it.
	// Gmail and the domains of others have the same hosts.
	` { .google.com = site=google concurrency=10 slow=4.7.28 slow="unusual rate" slow="rate limited" }` +
	` { .googlemail.com = site=google concurrency=10 slow=4.7.28 slow="unusual rate" slow="rate limited" }` +
	// sendersupport.olc.protection.outlook.com/pm/policies and learn.microsoft.com, "Email
	// non-delivery reports in Exchange Online": 4.7.500-699 "Server busy", 4.7.650 rate
	// limited by reputation, 4.7.652 too many connections, 4.3.2 likewise.
	` { .olc.protection.outlook.com = site=outlook concurrency=5 initial=2` + slowMicrosoft + ` }` +
	` { .mail.protection.outlook.com = site=microsoft365 concurrency=10` + slowMicrosoft + ` }` +
	` { .mx.microsoft = site=microsoft365-dane concurrency=10` + slowMicrosoft + ` }` +
	// senders.yahooinc.com/smtp-error-codes: [TSS04] and its relatives. AOL is there, too.
	` { .yahoodns.net = site=yahoo concurrency=5 initial=2` + slowYahoo + ` }` +
	` { .yahoo.co.jp = site=yahoo-japan concurrency=2 initial=1` + slowYahoo + ` }` +
	// support.apple.com/102322.
	` { .icloud.com = site=icloud concurrency=5 initial=2 slow="was deferred" slow="rate limit" slow="too many connections" slow="too many messages" }` +
	// postmaster.gmx.com/en/error-messages: 421 "too many messages in a short period of
	// time", "reduce the sending rate".
	` { .gmx.net = site=gmx concurrency=4 initial=2` + slowGMX + ` }` +
	` { .web.de = site=gmx concurrency=4 initial=2` + slowGMX + ` }` +
	` { .mail.com = site=mail-com concurrency=4 initial=2` + slowGMX + ` }` +
	` { .kundenserver.de = concurrency=5 initial=2` + slowGMX + ` }` +
	// spa.xfinity.com/help/postmaster: 25 connections from an address, 421 RL00000n when limited.
	` { .comcast.net = site=comcast concurrency=20 slow=RL0000 }` +
	// The others down to the filters publish no number.
	` { .mail.ru = site=mail-ru concurrency=3 initial=1` + slowWords + ` }` +
	` { .yandex.ru = site=yandex concurrency=5 initial=2` + slowWords + ` }` +
	` { .yandex.net = site=yandex concurrency=5 initial=2` + slowWords + ` }` +
	` { .qq.com = site=qq concurrency=4 initial=2 slow="frequency limited" }` +
	// help.163.com: HL:ICC too many connections, HL:IFC and the others too much mail.
	` { .netease.com = site=netease concurrency=4 initial=2 slow=HL:ICC slow=HL:IFC slow=MI:SFQ slow=MI:DMC slow=RP:QRC slow="too many connections" }` +
	// No more than a few connections, 421 OFR_104 and OFR004_104.
	` { .orange.fr = site=orange concurrency=2 initial=1 slow=OFR_104 slow=OFR004_104 slow="too many connections" slow="trop de connexions" }` +
	` { .free.fr = site=free concurrency=3 initial=1` + slowWords + ` }` +
	` { .laposte.net = site=laposte concurrency=3 initial=1` + slowWords + ` }` +
	` { .t-online.de = site=t-online concurrency=5 initial=2` + slowWords + ` }` +
	` { .zoho.com = site=zoho concurrency=5 initial=2` + slowWords + ` }` +
	` { .zoho.eu = site=zoho-eu concurrency=5 initial=2` + slowWords + ` }` +
	// Filters for hire: each customer, or region, has servers of its own.
	` { .pphosted.com = concurrency=10` + slowWords + ` }` +
	` { .ppe-hosted.com = concurrency=10` + slowWords + ` }` +
	` { .mimecast.com = concurrency=10` + slowWords + ` }` +
	` { .barracudanetworks.com = concurrency=10 slow="rate control"` + slowWords + ` }` +
	` }`

const (
	slowMicrosoft = ` slow=4.7.500 slow=4.7.650 slow=4.7.651 slow=4.7.652 slow="server busy" slow="rate limited" slow="maximum number of con" slow=RP-001`
	slowYahoo     = ` slow="[TS" slow="[IPTS" slow="unexpected volume"`
	slowGMX       = ` slow="too many connections" slow="too many messages" slow="short period of time" slow="reduce the sending rate" slow="rate limit"`
	slowWords     = ` slow="too many connections" slow="too many concurrent" slow="too many messages" slow="rate limit"`
)
