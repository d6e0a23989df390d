package delivery

import (
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"aliasmx/internal/mail"
)

// acceptOne takes one connection on loopback and serves it.
func acceptOne(t *testing.T, p *peer) (port uint16, from func() string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	addr := ""
	serving.Go(func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		addr, _, _ = net.SplitHostPort(nc.RemoteAddr().String())
		p.serve(nc)
	})
	return uint16(l.Addr().(*net.TCPAddr).Port), func() string {
		l.Close()
		serving.Wait()
		return addr
	}
}

func TestBindAddress(t *testing.T) {
	for _, c := range []struct {
		name, bind string
		from       string
		warning    string
	}{
		{"none", "", "127.0.0.1", ""},
		{"one we have", "127.0.0.3", "127.0.0.3", ""},
		{"one we do not have", "192.0.2.99", "127.0.0.1", "WARN: smtp_connect_addr: bind 192.0.2.99: Cannot assign requested address"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &peer{}
			port, from := acceptOne(t, p)
			l := &logged{}
			o := Options{DefaultPort: port, Log: slog.New(l.handler())}
			if c.bind != "" {
				o.BindAddress = netip.MustParseAddr(c.bind)
			}
			client := New(o)
			src := &source{t: t, attempts: letters(1)}
			client.Work(t.Context(), "smtp:[127.0.0.1]", src)
			client.Close()
			if got := fates(src.results[0]); !strings.HasPrefix(got, "sent") {
				t.Error(got)
			}
			if got := from(); got != c.from {
				t.Errorf("connected from %s, want %s", got, c.from)
			}
			if l.String() != c.warning {
				t.Errorf("log %q, want %q", l, c.warning)
			}
		})
	}
}

// As recorded from Postfix: no server listens.
func TestConnectionRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	log := &logged{}
	client := New(Options{Log: slog.New(log.handler())})
	src := &source{t: t, attempts: letters(1)}
	client.Work(t.Context(), mail.Dest("smtp:[127.0.0.1]:"+port), src)
	client.Close()
	if want := "deferred 4.4.1 none (connect to 127.0.0.1[127.0.0.1]:" + port + ": Connection refused)"; fates(src.results[0]) != want {
		t.Errorf("got %s\nwant %s", fates(src.results[0]), want)
	}
	if want := "connect-error relay=127.0.0.1[127.0.0.1]:" + port + " reason=Connection refused"; log.String() != want {
		t.Errorf("log\n%s\nwant\n%s", log, want)
	}
}
