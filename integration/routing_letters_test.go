package integration

import (
	"fmt"
	"strings"
)

// The letters of TestRoutingAsPostfix, and the world they are sent into.

const routingZone = `
good.test. A 192.0.2.20
good.test. AAAA 2001:db8::20
good2.test. A 192.0.2.21
good2.test. AAAA 2001:db8::21
good4.test. A 192.0.2.20
good4b.test. A 192.0.2.21
self.test. A 192.0.2.10
mx.alias.example. A 192.0.2.22
gone.test. TXT "no address"
refused.test. A 192.0.2.70
lost.test. A 192.0.2.80
unreachable.test. A 192.0.2.90
noroute.test. A 203.0.113.1

null.test. MX 0 .
dots.test. MX 0 .
dots.test. MX 10 good4.test.
onemx.test. MX 10 good4.test.
implicit.test. A 192.0.2.20
cname.test. CNAME onemx.test.
cnamemx.test. MX 10 www.test.
www.test. CNAME good4.test.
circle1.test. CNAME circle2.test.
circle2.test. CNAME circle1.test.
circle.test. MX 10 circle1.test.
noaddr.test. MX 10 gone.test.
nomxhost.test. MX 10 nx1.test.
nomxhost.test. MX 20 nx2.test.
half.test. MX 10 nx3.test.
half.test. MX 20 good4.test.
servfailmx.test. MX 10 fail1.test.
softhard.test. MX 10 fail1.test.
softhard.test. MX 20 nx4.test.
hardsoft.test. MX 10 nx5.test.
hardsoft.test. MX 20 fail1.test.
numeric.test. MX 10 192.0.2.20.
malformed.test. MX 10 -bad-.test.
halfmalformed.test. MX 10 -worse-.test.
halfmalformed.test. MX 20 good4.test.
loop.test. MX 10 self.test.
loop.test. MX 10 good4.test.
secondary.test. MX 10 good4.test.
secondary.test. MX 20 self.test.
secondary.test. MX 30 refused.test.
secondarydown.test. MX 10 down1.test.
secondarydown.test. MX 20 self.test.
down1.test. A 192.0.2.71
secondarygone.test. MX 10 nx6.test.
secondarygone.test. MX 20 self.test.
selfhost.test. A 192.0.2.10
named.test. MX 10 mx.alias.example.
hello.test. MX 10 hello1.test.
hello1.test. A 192.0.2.30
hellolater.test. MX 10 down2.test.
hellolater.test. MX 20 hello2.test.
down2.test. A 192.0.2.72
hello2.test. A 192.0.2.31
xn--mller-kva.test. MX 10 good.test.
xn--mller-kva-implicit.test. A 192.0.2.20
xn--hst-sna.test. A 192.0.2.20
xn--hst-sna.test. AAAA 2001:db8::20
order.test. MX 30 good4.test.
order.test. MX 10 down3.test.
order.test. MX 20 unreachable1.test.
order.test. MX 25 lost1.test.
down3.test. A 192.0.2.73
unreachable1.test. A 192.0.2.91
lost1.test. A 192.0.2.81
alldead.test. MX 10 down4.test.
alldead.test. MX 20 noroute.test.
down4.test. A 192.0.2.74
down4.test. AAAA 2001:db8::71
six.test. AAAA 2001:db8::20
sixdead.test. MX 10 sixdead1.test.
sixdead1.test. AAAA 2001:db8::90
sixdead1.test. A 192.0.2.20
both1.test. A 192.0.2.20
both1.test. AAAA 2001:db8::20
limit.test. MX 10 down5.test.
limit.test. MX 20 good4.test.
down5.test. A 192.0.2.75
closed.test. MX 10 closed1.test.
closed.test. MX 20 good4.test.
closed1.test. A 192.0.2.32
closed2.test. A 192.0.2.33
busy.test. MX 10 busy1.test.
busy.test. MX 20 good4.test.
busy1.test. A 192.0.2.34
later.test. MX 10 later1.test.
later.test. MX 20 later2.test.
later.test. MX 30 later3.test.
later1.test. A 192.0.2.35
later2.test. A 192.0.2.36
later3.test. A 192.0.2.37
fallback.test. MX 10 down6.test.
down6.test. A 192.0.2.76
dual.test. MX 10 dual1.test.
dual1.test. A 192.0.2.170
dual1.test. A 192.0.2.171
dual1.test. AAAA 2001:db8::20
dual2.test. A 192.0.2.172
dual2.test. A 192.0.2.173
dual2.test. AAAA 2001:db8::20
filtered.test. A 192.0.2.79
`

// routingTransports is transport_maps; "services" with options are below.
const routingTransports = `
list.test smtp:[192.0.2.78], [good4.test]
port.test smtp:[good4.test]:2525
brackets.test smtp:[onemx.test]
hop.test :[192.0.2.21]
noop.test :
error.test error:5.1.2 closed for good
errortext.test error:closed
errorbare.test error:
retry.test retry:4.3.1 come back later
retrybare.test retry:
discard.test discard:
discardtext.test discard:gone for good
.parent.test smtp:[192.0.2.21]
someone@onemx.test smtp:[192.0.2.21]
bind4.test bind4:[192.0.2.20]
bind6.test bind6:[ipv6:2001:db8::20]
badbind.test badbind:[192.0.2.20]
mustbind.test mustbind:[192.0.2.20]
four.test pref4:both1.test
sixth.test pref6:both1.test
only4.test only4:both1.test
only4six.test only4:six.test
limit.test limit1:limit.test
closed.test smtp:closed.test
closedhard.test hard:closed.test
closedlast.test hard:[closed2.test]
latersess.test sess1:later.test
fallback.test fallback:fallback.test
fallbacknx.test fallback:nx7.test
fallbackloop.test fallback:loop.test
badfallback.test badfallback:nx8.test
relayhost.test relayhost:nx9.test
defermx.test defermx:nomxhost.test
balanced.test balanced:dual.test
unbalanced.test unbalanced:dual2.test
only.test only:good.test
onlysix.test only:six.test
filtered.test filtered:filtered.test
filteredok.test filteredok:good4.test
filteredbad.test filteredok:filtered.test
`

// routingTransportOptions are services of smtp(8), with -o; "~" is a space.
const routingTransportOptions = `
bind4 smtp_bind_address=192.0.2.11
bind6 smtp_bind_address6=2001:db8::11
badbind smtp_bind_address=198.51.100.99
mustbind smtp_bind_address=198.51.100.98 smtp_bind_address_enforce=yes
pref4 smtp_address_preference=ipv4
pref6 smtp_address_preference=ipv6
only4 inet_protocols=ipv4 inet_interfaces=192.0.2.10
limit1 smtp_mx_address_limit=1
sess1 smtp_mx_session_limit=1
hard smtp_skip_5xx_greeting=no
fallback smtp_fallback_relay=[good4b.test]
badfallback smtp_fallback_relay=[nx10.test]
relayhost relayhost=nx9.test
defermx smtp_defer_if_no_mx_address_found=yes
balanced smtp_mx_address_limit=2
unbalanced smtp_mx_address_limit=2 smtp_balance_inet_protocols=no
only inet_interfaces=192.0.2.11,2001:db8::11
filtered smtp_delivery_status_filter=static:{5.9.9~filtered~text}
filteredok smtp_delivery_status_filter=static:{2.9.9~fine~text}
`

// routingScenes are those of TestRoutingAsPostfix.
func routingScenes() map[string]*routingScene {
	return map[string]*routingScene{
		"hosts": {
			cf: map[string]string{
				"transport_maps":                  inlineTable(routingTransports),
				"sender_dependent_relayhost_maps": "inline:{ {boss@client.example=[192.0.2.21]} {@other.example=DUNNO} }",
				"relay_domains":                   "relayed.test",
			},
			services: routingServices(routingTransportOptions),
			letters:  routedLetters,
		},
		"classes": {
			cf: map[string]string{
				"relayhost":                               "[good4.test]",
				"default_transport":                       "smtp",
				"relay_domains":                           "relayed.test, moved.test",
				"relay_transport":                         "relay:[good4b.test]",
				"virtual_mailbox_domains":                 "boxes.test",
				"virtual_mailbox_maps":                    "static:x",
				"relay_recipient_maps":                    "",
				"virtual_transport":                       "smtp:[good2.test]",
				"recipient_delimiter":                     "+",
				"relocated_maps":                          "inline:{ {old@moved.test=new@good.test} {gone@good.test=nowhere} }",
				"sender_dependent_relayhost_maps":         "inline:{ {boss@client.example=DUNNO} {<>=[good.test]} {@client.example=[good2.test]} }",
				"sender_dependent_default_transport_maps": "inline:{ {bossy@client.example=error:5.7.2 not you} {<>=DUNNO} {boss@client.example=smtp:[good2.test]} }",
				"parent_domain_matches_subdomains":        "transport_maps",
				"transport_maps": inlineTable(`
parents.test smtp:[good2.test]
user@ext.test error:5.1.4 by address
ext.test retry:4.3.5 by domain
reset.test smtp
wild.test :
* :[good4b.test]`),
			},
			letters: []routed{
				{to: "a@good.test"}, {to: "a@relayed.test"}, {to: "a@boxes.test"}, {to: "old@moved.test"}, {to: "new@moved.test"}, {to: "gone@good.test"},
				{to: "boss@good.test"}, {to: "boss2@relayed.test"}, {to: "bossy@good.test"}, {to: "bossier@good.test"}, {to: "bossy@relayed.test"},
				{to: "a@parents.test"}, {to: "a@sub.parents.test"}, {to: "user@ext.test"}, {to: "user+x@ext.test"}, {to: "other@ext.test"},
				{to: "a@reset.test"}, {to: "a@wild.test"}, {to: "a@[192.0.2.21]"}, {to: "-a@good.test"},
			},
		},
		"senders, and our own domains": {
			cf: map[string]string{
				"best_mx_transport":                       "smtp:[good2.test]",
				"relay_domains":                           "loop.test",
				"sender_dependent_relayhost_maps":         "inline:{ {boss@client.example=DUNNO} {@client.example=[good2.test]} }",
				"sender_dependent_default_transport_maps": "inline:{ {bossy@client.example=error:5.7.2 not you} {boss@client.example=smtp:[good2.test]} }",
				"empty_address_relayhost_maps_lookup_key": "nobody",
			},
			letters: []routed{
				{to: "a@loop.test"}, {to: "a@selfhost.test"}, {to: "a@secondary.test"}, {to: "a@secondarygone.test"}, {to: "a@hello.test"}, {to: "a@null.test"},
				{to: "a@onemx.test"}, {to: "boss@onemx.test"}, {to: "bossy@onemx.test"}, {to: "bossier@onemx.test"},
			},
		},
	}
}

// inlineTable has the lines of a table as inline:.
func inlineTable(lines string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSpace(lines), "\n") {
		key, value, _ := strings.Cut(line, " ")
		fmt.Fprintf(&b, " {%s=%s}", key, strings.TrimSpace(value))
	}
	return "inline:{" + b.String() + " }"
}

// routingServices are services of master.cf with settings of their own: name, then -o.
func routingServices(lines string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSpace(lines), "\n") {
		name, options, _ := strings.Cut(line, " ")
		fmt.Fprintf(&b, "%s unix - - n - - smtp", name)
		for o := range strings.FieldsSeq(options) {
			fmt.Fprintf(&b, "\n  -o { %s }", strings.Replace(strings.ReplaceAll(o, "~", " "), "=", " = ", 1))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

var routedLetters = []routed{
	{to: "a@null.test"},
	{to: "a@dots.test"},
	{to: "a@onemx.test"},
	{to: "a@OneMX.Test"},
	{to: "a@implicit.test"},
	{to: "a@cname.test"},
	{to: "a@cnamemx.test"},
	{to: "a@circle.test"},
	{to: "a@circle1.test"},
	{to: "a@nx.test"},
	{to: "a@gone.test"},
	{to: "a@noaddr.test"},
	{to: "a@nomxhost.test"},
	{to: "a@defermx.test"},
	{to: "a@half.test"},
	{to: "a@failing.test"},
	{to: "a@servfailmx.test"},
	{to: "a@softhard.test", ours: "postfix/smtp: relay=none, delay=N, dsn=4.4.3, status=deferred (Host or domain name not found. Name service error for name=fail1.test type=AAAA: Host not found, try again)"},
	{to: "a@hardsoft.test"},
	{to: "a@numeric.test"},
	{to: "a@malformed.test"},
	{to: "a@halfmalformed.test"},
	{to: "a@loop.test"},
	{to: "a@secondary.test"},
	{to: "a@secondarydown.test"},
	{to: "a@secondarygone.test"},
	{to: "a@selfhost.test"},
	{to: "a@named.test", ours: "postfix/smtp: relay=none, delay=N, dsn=5.4.6, status=bounced (mail for named.test loops back to myself)"},
	{to: "a@hello.test"},
	{to: "a@hellolater.test"},
	{to: "a@müller.test"},
	{to: "a@höst.test"},
	{to: "a@nü.test"},
	{to: "a@xn--mller-kva.test"},
	{to: "a@order.test"},
	{to: "a@alldead.test"},
	{to: "a@lost.test"},
	{to: "a@unreachable.test"},
	{to: "a@noroute.test"},
	{to: "a@refused.test"},
	{to: "a@six.test"},
	{to: "a@sixdead.test"},
	{to: "a@[192.0.2.20]"},
	{to: "a@[IPv6:2001:db8::20]"},
	{to: "a@relayed.test"},
	{to: "a@list.test"},
	{to: "a@port.test"},
	{to: "a@brackets.test"},
	{to: "a@hop.test"},
	{to: "a@noop.test"},
	{to: "a@error.test"},
	{to: "a@errortext.test"},
	{to: "a@errorbare.test"},
	{to: "a@retry.test"},
	{to: "a@retrybare.test"},
	{to: "a@discard.test"},
	{to: "a@discardtext.test"},
	{to: "a@sub.parent.test"},
	{to: "a@parent.test"},
	{to: "someone@onemx.test"},
	{to: "a@bind4.test"},
	{to: "a@bind6.test"},
	{to: "a@badbind.test"},
	{to: "a@mustbind.test"},
	{to: "a@four.test"},
	{to: "a@sixth.test"},
	{to: "a@only4.test"},
	{to: "a@only4six.test"},
	{to: "a@limit.test"},
	{to: "a@closed.test"},
	{to: "a@closedhard.test"},
	{to: "a@closedlast.test"},
	{to: "a@busy.test"},
	{to: "a@later.test"},
	{to: "a@latersess.test"},
	{to: "a@fallback.test"},
	{to: "a@fallbacknx.test"},
	{to: "a@fallbackloop.test"},
	{to: "a@badfallback.test"},
	{to: "a@relayhost.test"},
	{to: "a@balanced.test"},
	{to: "a@unbalanced.test"},
	{to: "a@only.test"},
	{to: "a@onlysix.test"},
	{to: "a@filtered.test"},
	{to: "a@filteredok.test"},
	{to: "a@filteredbad.test"},
	{to: "boss@onemx.test"},
	{to: "boss@relayed.test"},
}
