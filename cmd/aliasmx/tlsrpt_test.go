package main

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/tlsrpt"
)

// Each transport by SMTP tells of its sessions if it is set so, and no other; where none
// does, nothing is made.
func TestWhoReportsTLS(t *testing.T) {
	const services = "slow unix - - n - - smtp -o smtp_tlsrpt_enable=yes -o smtp_tlsrpt_skip_reused_handshakes=yes\n" +
		"quiet unix - - n - - smtp -o smtp_tlsrpt_enable=no\nlmtp unix - - n - - lmtp\n"
	for _, c := range []struct {
		main, master      string
		smtp, slow, quiet bool
	}{
		{"", "", false, false, false},
		{"", services, false, true, false},
		{"smtp_tlsrpt_enable = yes\n", services, true, true, false},
		{"smtp_tlsrpt_enable = yes\nsmtp_tlsrpt_skip_reused_handshakes = yes\n", "", true, false, false},
	} {
		cfg := configOf(t, "myhostname = mx.alias.example\n"+c.main, c.master)
		v, err := newView(cfg, slog.New(slog.DiscardHandler), new(keyring))
		if err != nil {
			t.Fatal(err)
		}
		defer v.close()
		wants := c.smtp || c.slow
		if (v.tlsrpt != nil) != wants || wantsTLSReports(cfg) != wants {
			t.Errorf("%q with %q: reports %v, %v, want %v", c.main, c.master, v.tlsrpt != nil, wantsTLSReports(cfg), wants)
		}
		for name, want := range map[string]bool{"slow": c.slow, "quiet": c.quiet, "lmtp": false} {
			if got := v.delivery.Services[name].TLSReporter != nil; got != want {
				t.Errorf("%q with %q: %s reports: %v", c.main, c.master, name, got)
			}
		}
		if got := v.delivery.TLSReporter != nil; got != c.smtp {
			t.Errorf("%q with %q: smtp reports: %v", c.main, c.master, got)
		}
		if v.tlsrpt == nil {
			continue
		}
		s := mail.TLSSession{At: time.Now(), Peer: mail.TLSPeer{Domain: "x.example", Port: 25}, Resumed: true}
		reporter := v.delivery.TLSReporter
		skips := c.master == ""
		if !c.smtp {
			reporter, skips = v.delivery.Services["slow"].TLSReporter, true
		}
		reporter.Session(s) // before the daemon runs: nobody is there, and nothing happens
		counts := tlsrpt.New(tlsrpt.Options{File: filepath.Join(t.TempDir(), "x"), Params: v.tlsrpt.params})
		v.tlsrpt.to.Store(counts)
		reporter.Session(s)
		s.Resumed = false
		reporter.Session(s)
		want := uint64(2)
		if skips {
			want = 1
		}
		if got := counts.Counts()[0].Successes; got != want {
			t.Errorf("%q with %q: %d sessions are counted, want %d", c.main, c.master, got, want)
		}
	}
}

// Defaults name the domain of this host, and who answers for it.
func TestTLSReportDefaults(t *testing.T) {
	cfg := configOf(t, "myhostname = mx.alias.example\nsmtp_tlsrpt_enable = yes\nqueue_node = 5\n", "")
	v, err := newView(cfg, slog.New(slog.DiscardHandler), new(keyring))
	if err != nil {
		t.Fatal(err)
	}
	defer v.close()
	p := v.tlsrpt.params
	if p.Organization != "alias.example" || p.Contact != "postmaster@alias.example" || p.From != p.Contact || p.MyHostname != "mx.alias.example" || p.Node != 5 {
		t.Errorf("%+v", p)
	}
}

func TestPrintTLSCounts(t *testing.T) {
	var b bytes.Buffer
	err := printTLSCounts(&b, []tlsrpt.Count{
		{Day: "2026-01-31", Reports: "no", Successes: 5},
		{Day: "2026-01-31", Domain: "none.example", Reports: "no", Successes: 17, Failures: 1},
		{Day: "2026-01-31", Domain: "x.example", Reports: "yes", Policy: "tlsa", Of: "mx.x.example", Successes: 3, Failures: 7,
			Results: map[string]uint64{"tlsa-invalid": 2, "certificate-host-mismatch": 2, "certificate-expired": 3}},
	})
	const want = `day         domain        reports  policy                good  failed  because of
2026-01-31  (others)      no       -                     5     0       -
2026-01-31  none.example  no       -                     17    1       -
2026-01-31  x.example     yes      tlsa of mx.x.example  3     7       certificate-expired 3, certificate-host-mismatch 2, tlsa-invalid 2
`
	if err != nil || b.String() != want {
		t.Errorf("%v\n%swant\n%s", err, b.String(), want)
	}
}
