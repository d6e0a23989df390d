package mailauth

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"testing"

	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/mail"
)

// The rule, for mail made by chance: a copy leaves with an SPF or DKIM pass that is aligned
// with its author only if the original had authenticated for him. The destination judges by
// the DNS, or by the list of public suffixes; srs_domain is apart from what is hosted, or in
// each way too near to it.
func TestNoLaundering(t *testing.T) {
	const source = "192.0.2.200"
	base := newWorld(t)
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	taken, proven := 0, 0
	for range 3000 {
		w := *base
		w.t, w.zone = t, dnstest.New(t, names)
		srs := pick("srs.example", "hosted.example", "srs.hosted.example", "example", "x.sub.hosted.example", "srs.big.example", "other.big.example")
		helo := pick("mx.own.example", "mx.hosted.example", "mx.big.example")
		for _, d := range []string{srs, helo, "included.example"} {
			w.zone.Remove(d)
			w.zone.AddTXT(d, "v=spf1 ip4:"+source+" -all") // which names us
		}
		w.o.MyHostname, w.o.SenderDomain, w.o.HeloNames = helo, srs, []string{helo}
		authors := []string{"a.example", "hosted.example", "sub.hosted.example", "srs.example", "big.example", "other.big.example", "own.example", srs, helo, "included.example"}
		for _, d := range []string{"example", "a.example", "hosted.example", "sub.hosted.example", "big.example", "srs.example", "included.example"} {
			if policy := pick("", "", "none", "reject", "none; psd=n", "none; adkim=s; aspf=s"); policy != "" {
				w.zone.AddTXT("_dmarc."+d, "v=DMARC1; p="+policy)
			}
		}
		for _, d := range authors {
			w.zone.Remove("s._domainkey." + d)
			w.zone.AddTXT("s._domainkey."+d, base.keyRecord())
		}
		author := pick(authors...)
		path := pick(append(authors, "", "nothing.example")...)
		r := request(pick("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.9"), pick("client.example", helo, "hosted.example"), "")
		if path != "" {
			r.Sender = mail.Address{Local: "x", Domain: path}
		}
		message := letter("<x@" + author + ">")
		if rnd.IntN(2) == 0 {
			message = w.signed(pick(authors...), message)
		}
		if rnd.IntN(20) == 0 {
			w.zone.Fail(pick("_dmarc."+author, author, "s._domainkey."+author), dnstest.ServFail)
		}
		tx := w.verifier().Begin(context.Background(), r)
		v := tx.Message(context.Background(), mail.AuthMessage{Body: bodyOf(message)})
		tx.Close()
		if v.Refused != nil {
			continue
		}
		taken++
		// The copy: SRS but for the null sender, the same bytes, our address.
		leaves := r.Sender
		if !leaves.IsNull() {
			leaves = mail.Address{Local: "SRS0=x", Domain: srs}
		}
		out := request(source, helo, "")
		out.Sender = leaves
		f, _, err := w.verifier().Examine(context.Background(), out, bodyOf(message))
		if err != nil {
			t.Fatal(err)
		}
		passes := f.DMARC.SPFAligned || f.DMARC.DKIMAligned || alignedByList(f, author)
		if passes && v.Auth.Vouched {
			proven++
		}
		if passes && !v.Auth.Vouched && !alignedBefore(&w, r, message, author) {
			t.Fatalf("laundered: author %s, from <%s> %s helo %s, srs %s, myhostname %s\n%s\n%s\n%+v",
				author, r.Sender, r.Client.Addr, r.Client.Helo, srs, helo, message, v.Reason, f.DMARC)
		}
	}
	if taken < 100 || proven < 50 {
		t.Errorf("%d messages were taken, %d of them proven: the test says little", taken, proven)
	}
}

// alignedByList tells whether a destination that goes by RFC 7489 and the list of public
// suffixes finds a pass that is aligned.
func alignedByList(f *Findings, author string) bool {
	same := func(d string) bool { return registered(d) != "" && registered(d) == registered(author) }
	if f.SPF.Result == mail.AuthPass && same(pathDomain(&f.Request)) {
		return true
	}
	for _, s := range f.DKIM {
		if s.Result == mail.AuthPass && same(s.Domain) {
			return true
		}
	}
	return false
}

// alignedBefore tells whether that destination would have found one in the original.
func alignedBefore(w *world, r mail.AuthRequest, message, author string) bool {
	f, _, err := w.verifier().Examine(context.Background(), r, bodyOf(message))
	return err == nil && alignedByList(f, author)
}

// What a destination sees is predicted from what was found.
func TestPredict(t *testing.T) {
	w := newWorld(t)
	w.dmarc("a.example", "reject")
	w.zone.AddTXT("srs.example", "v=spf1 ip4:192.0.2.200 -all")
	srs := mail.Address{Local: "SRS0=h=t=a.example=x", Domain: "srs.example"}
	for _, tt := range []struct {
		name    string
		message string
		route   Route
		result  mail.AuthResult
		spf     mail.AuthResult
	}{
		{"unsigned", letter("<x@a.example>"), Route{Sender: srs, Source: netip.MustParseAddr("192.0.2.200")}, mail.AuthFail, mail.AuthPass},
		{"signed", w.signed("a.example", letter("<x@a.example>")), Route{Sender: srs, Source: netip.MustParseAddr("192.0.2.200")}, mail.AuthPass, mail.AuthPass},
		{"changed", w.signed("a.example", letter("<x@a.example>")), Route{Sender: srs, Source: netip.MustParseAddr("192.0.2.200"), Changes: []string{"smtp_header_checks"}}, mail.AuthFail, mail.AuthPass},
		{"another address", letter("<x@a.example>"), Route{Sender: srs, Source: netip.MustParseAddr("192.0.2.201")}, mail.AuthFail, mail.AuthFail},
		{"unknown address", letter("<x@a.example>"), Route{Sender: srs}, mail.AuthFail, ""},
		{"no SRS", letter("<x@a.example>"), Route{Sender: mail.SplitAddress("x@a.example"), Source: netip.MustParseAddr("192.0.2.200")}, mail.AuthFail, mail.AuthFail},
		{"no SRS, and they know us", letter("<x@a.example>"), Route{Sender: mail.SplitAddress("x@a.example"), Source: netip.MustParseAddr("192.0.2.1")}, mail.AuthPass, mail.AuthPass},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := w.verifier()
			f, _, err := v.Examine(context.Background(), request("192.0.2.1", "h", "x@a.example"), bodyOf(tt.message))
			if err != nil {
				t.Fatal(err)
			}
			got := v.Predict(context.Background(), f, tt.route)
			if got.DMARC.Result != tt.result || got.SPF.Result != tt.spf || got.Sender != tt.route.Sender.String() {
				t.Errorf("%+v, want dmarc=%s spf=%s", got, tt.result, tt.spf)
			}
			if len(got.Why) < 3 {
				t.Errorf("in words: %q", got.Why)
			}
			// The same, by whoever gets the copy.
			if tt.route.Source.IsValid() && len(tt.route.Changes) == 0 {
				there := request(tt.route.Source.String(), "h", "")
				there.Sender = tt.route.Sender
				f, _, _ := v.Examine(context.Background(), there, bodyOf(tt.message))
				if f.DMARC != got.DMARC {
					t.Errorf("predicted %+v, there it is %+v", got.DMARC, f.DMARC)
				}
			}
		})
	}
}

// A reverse-path that is kept must not pass by us when it does not pass by the client.
func TestKeptPath(t *testing.T) {
	for _, tt := range []struct {
		name, ip, from string
		kept           bool
		source         string
		sign           bool
		want           string
	}{
		{name: "they name us, and not the client", ip: "192.0.2.9", from: "x@both.example", kept: true, source: "192.0.2.200", want: "550 5.7.23"},
		{name: "they name both", ip: "192.0.2.1", from: "x@both.example", kept: true, source: "192.0.2.200", want: "accept"},
		{name: "they do not name us", ip: "192.0.2.9", from: "x@b.example", kept: true, source: "192.0.2.200", want: "accept"},
		{name: "rewritten", ip: "192.0.2.9", from: "x@both.example", source: "192.0.2.200", want: "accept"},
		{name: "where from nobody knows", ip: "192.0.2.9", from: "x@both.example", kept: true, want: "accept"},
		{name: "signed", ip: "192.0.2.9", from: "x@both.example", kept: true, source: "192.0.2.200", sign: true, want: "accept"},
		{name: "no answer", ip: "192.0.2.9", from: "x@broken.example", kept: true, source: "192.0.2.200", want: "451 4.3.0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.zone.AddTXT("both.example", "v=spf1 ip4:192.0.2.1 ip4:192.0.2.200 ?all")
			w.zone.AddTXT("s._domainkey.both.example", w.keyRecord())
			w.o.Hosted = nil
			w.o.Keeps = func(_ context.Context, domain string) (bool, error) {
				if domain == "broken.example" {
					return false, context.DeadlineExceeded
				}
				return tt.kept, nil
			}
			w.o.Sources = func() []netip.Addr {
				if tt.source == "" {
					return nil
				}
				return []netip.Addr{netip.MustParseAddr("192.0.2.250"), netip.MustParseAddr(tt.source)}
			}
			message := letter("<" + tt.from + ">")
			if tt.sign {
				message = w.signed("both.example", message)
			}
			if v := w.verdict(request(tt.ip, "h", tt.from), message); outcome(v) != tt.want {
				t.Errorf("%s, want %s: %s", outcome(v), tt.want, v.Reason)
			}
		})
	}
}
