package smtpd

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"aliasmx/internal/mail"
)

// Restrictions that ask somebody: the DNS, lists, policy servers, the verifier. Each alone
// in smtpd_recipient_restrictions, asked about s@sender.example and a@virt.example by
// client.example[192.0.2.7]. What needs nobody is compared with Postfix in integration.
func TestRestrictionsThatAsk(t *testing.T) {
	names := zone{
		"sender.example MX": "mx.sender.example", "mx.sender.example A": "198.51.100.1", "sender.example NS": "ns.bad.example",
		"ns.bad.example A": "203.0.113.1", "null.example MX": ".", "down.example": "?", "client.example A": "192.0.2.7", "helo.example A": "192.0.2.8",
	}
	refusedBy := func(text string) string { return "554 5.7.1 " + text }
	for _, tt := range []struct {
		list, helo, from, want string
		set                    func(*Options)
	}{
		{list: "reject_unknown_sender_domain", from: "s@null.example", want: "550 5.7.27 <s@null.example>: Sender address rejected: Domain null.example does not accept mail (nullMX)"},
		{list: "reject_unknown_sender_domain", from: "s@down.example", want: "450 4.1.8 <s@down.example>: Sender address rejected: Domain not found"},
		{list: "reject_unknown_sender_domain, reject", from: "s@down.example", want: refusedBy("<a@virt.example>: Recipient address rejected: Access denied")},
		{list: "reject_unknown_sender_domain, permit", from: "s@down.example", set: func(o *Options) { o.UnknownAddressLater = DeferNow }, want: "450 4.1.8 <s@down.example>: Sender"},
		{list: "reject_unknown_sender_domain", from: "s@none.example", want: "450 4.1.8 <s@none.example>: Sender address rejected: Domain not found"},
		{list: "reject_unknown_helo_hostname", helo: "none.example", want: "450 4.7.1 <none.example>: Helo command rejected: Host not found"},
		{list: "reject_unknown_helo_hostname", helo: "helo.example", want: "250 2.1.5 Ok"},
		{list: "reject_unknown_helo_hostname", helo: "null.example", want: "250 2.1.5 Ok"},
		{list: "check_sender_mx_access inline:{198.51.100 REJECT bad mx}", want: refusedBy("<s@sender.example>: Sender address rejected: bad mx")},
		{list: "check_sender_mx_access inline:{mx.sender.example OK}", want: "451 4.3.5 Server configuration error"},
		{list: "check_sender_ns_access inline:{bad.example REJECT bad ns}", want: refusedBy("<s@sender.example>: Sender address rejected: bad ns")},
		{list: "check_sender_ns_access inline:{bad.example REJECT bad ns}", from: "s@a.b.sender.example", want: refusedBy("<s@a.b.sender.example>: Sender address rejected: bad ns")},
		{list: "check_sender_mx_access inline:{192.0.2.1 REJECT literal}", from: "s@[192.0.2.1]", want: refusedBy("<s@[192.0.2.1]>: Sender address rejected: literal")},
		{list: "check_helo_a_access inline:{192.0.2.8 REJECT by address}", helo: "helo.example", want: refusedBy("<helo.example>: Helo command rejected: by address")},
		{list: "check_client_a_access inline:{192.0.2.7 REJECT itself}", want: refusedBy("<client.example[192.0.2.7]>: Client host rejected: itself")},
		{list: "check_recipient_mx_access inline:{x REJECT}", want: "250 2.1.5 Ok"},
		{list: "reject_rbl_client bl.example", want: refusedBy("Service unavailable; Client host [192.0.2.7] blocked using bl.example; see page")},
		{list: "reject_rbl_client bl.example", set: func(o *Options) {
			o.RBLReplyMaps = []Table{newDict("bl.example 550 5.7.9 $rbl_domain says no to $rbl_what")}
		},
			want: "550 5.7.9 bl.example says no to 192.0.2.7"},
		{list: "reject_rbl_client bl.example", set: func(o *Options) { o.DefaultRBLReply = "no code" }, want: "450 4.7.1 Service unavailable"},
		{list: "reject_rbl_client bl.example", set: func(o *Options) { o.RBLRejectCode = 450 }, want: "450 4.7.1 Service unavailable; Client host"},
		{list: "reject_rhsbl_sender bl.example", from: "s@listed.example", want: refusedBy("Service unavailable; Sender address [s@listed.example] blocked using bl.example")},
		{list: "reject_rhsbl_helo bl.example", helo: "listed.example", want: refusedBy("Service unavailable; Helo command [listed.example] blocked using bl.example")},
		{list: "reject_rhsbl_sender bl.example", from: "s@[192.0.2.7]", want: "250 2.1.5 Ok"},
		{list: "reject_rbl_client down.example", want: "250 2.1.5 Ok"},
		{list: "permit_dnswl_client bl.example, reject", want: "250 2.1.5 Ok"},
		{list: "permit_dnswl_client down.example, reject", want: "450 4.7.1 <192.0.2.7>: Client host rejected: Service unavailable"},
		{list: "permit_rhswl_client bl.example, reject", want: refusedBy("<a@virt.example>: Recipient address rejected: Access denied")},
		{list: "check_policy_service inet:says", want: "550 5.7.1 <a@virt.example>: Recipient address rejected: policy"},
		{list: "check_policy_service inet:down", want: "451 4.3.5 <a@virt.example>: Recipient address rejected: Server configuration problem"},
		{list: "check_policy_service inet:lenient, reject", want: "250 2.1.5 Ok"},
		{list: "check_policy_service inet:odd", want: "451 4.3.5 Server configuration error"},
		{list: "reject_unverified_sender", from: "gone@x.example", want: "450 4.1.7 <gone@x.example>: Sender address rejected: unverified address: host said 550"},
		{list: "reject_unverified_sender", from: "gone@x.example", set: func(o *Options) { o.UnverifiedSender.RejectCode = 550 }, want: "550 5.1.7 <gone@x.example>: Sender address rejected: undeliverable address: host said 550"},
		{list: "reject_unverified_sender", from: "gone@x.example", set: func(o *Options) { o.UnverifiedSender.RejectCode = 250 }, want: "250 2.1.5 Ok"},
		{list: "reject_unverified_sender", from: "new@x.example", want: "450 4.1.7 <new@x.example>: Sender address rejected: unverified address: Address verification in progress"},
		{list: "reject_unverified_sender", from: "new@x.example", set: func(o *Options) { o.UnverifiedSender.Reason = "try later" }, want: "450 4.1.7 <new@x.example>: Sender address rejected: unverified address: try later"},
		{list: "reject_unverified_sender", from: "trouble@x.example", want: "450 4.1.7 <trouble@x.example>: Sender address rejected: address verification problem"},
		{list: "reject_unverified_recipient", want: "250 2.1.5 Ok"},
	} {
		t.Run(tt.list+" "+tt.helo+tt.from, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sc := &scene{
					lists: map[string]*published{
						"bl.example":   {text: map[string]string{"192.0.2.7": "see page", "listed.example": ""}},
						"down.example": {down: true},
					},
					policies: map[string]*oracle{
						"inet:says": {answers: []string{"550 policy"}}, "inet:down": {answers: []string{""}, byDefault: defaultPolicyAction},
						"inet:lenient": {answers: []string{""}, byDefault: "permit"}, "inet:odd": {answers: []string{"nonsense"}},
					},
				}
				w := usual(t)
				w.o.Language, w.o.Resolver = sc.newLanguage(), names
				w.o.Verifier = verdicts{
					"gone@x.example": {State: mail.VerdictRefused, Reason: "host said 550"}, "new@x.example": {},
					"a@virt.example": {State: mail.VerdictDeliverable},
				}
				w.o.Recipient = sc.parse(tt.list)
				if tt.set != nil {
					tt.set(&w.o)
				}
				w.start()
				p := Peer{Addr: netip.MustParseAddr("192.0.2.7"), Name: "client.example"}
				c := w.dialAs(p).greeting()
				from := orElse(tt.from, "s@sender.example")
				c.expect("EHLO "+orElse(tt.helo, "client.example"), "250", "MAIL FROM:<"+from+">", "250 ")
				if got := c.do("RCPT TO:<a@virt.example>"); !strings.HasPrefix(got, tt.want) {
					t.Errorf("%q, want %q\n%s", got, tt.want, strings.Join(w.log.all(), "\n"))
				}
				c.hangUp()
				w.conns.Wait()
			})
		})
	}
}
