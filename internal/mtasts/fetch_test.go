package mtasts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/dns"
)

const good = "version: STSv1\nmode: enforce\nmx: mx.example.com\nmax_age: 604800\n"

// Every way to fail, and some that are none. Nothing of it may take more than a minute.
func TestFetch(t *testing.T) {
	redirect := func(code int) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, "https://mta-sts.example.com/.well-known/mta-sts.txt", code)
		}
	}
	status := func(code int) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "text/plain")
			rw.WriteHeader(code)
			io.WriteString(rw, good)
		}
	}
	typed := func(kind string) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			rw.Header()["Content-Type"] = []string{kind}
			io.WriteString(rw, good)
		}
	}
	cert := func(change func(*x509.Certificate)) func(*world) {
		return func(w *world) { w.cert = w.ca.cert(w.t, "mta-sts.example.com", change) }
	}
	for _, c := range []struct {
		name   string
		page   http.HandlerFunc
		world  func(*world)
		result string // "": it works
		reason string // part of it
	}{
		{"good", text(good), nil, "", ""},
		{"a wildcard", text(good), cert(func(c *x509.Certificate) { c.DNSNames = []string{"*.example.com"} }), "", ""},
		{"a type with parameters", typed("TEXT/plain; charset=utf-8"), nil, "", ""},
		{"a type with a broken parameter", typed("text/plain; charset"), nil, "", ""},
		{"just not too large", text(good + "x: " + strings.Repeat("x", MaxSize-len(good)-3)), nil, "", ""},

		{"another name", text(good), cert(func(c *x509.Certificate) { c.DNSNames = []string{"www.example.com", "example.com"} }),
			"sts-webpki-invalid", "certificate is valid for www.example.com, example.com, not mta-sts.example.com"},
		{"the name is only a common name", text(good), cert(func(c *x509.Certificate) { c.DNSNames = nil }), "sts-webpki-invalid", "Common Name"},
		{"a wildcard that is too wide", text(good), cert(func(c *x509.Certificate) { c.DNSNames = []string{"*.com"} }), "sts-webpki-invalid", "not mta-sts.example.com"},
		{"expired", text(good), cert(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "sts-webpki-invalid", "expired"},
		{"not yet valid", text(good), cert(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }), "sts-webpki-invalid", "not yet valid"},
		{"for clients only", text(good), cert(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), "sts-webpki-invalid", "incompatible key usage"},
		{"self-signed", text(good), func(w *world) { w.cert = newAuthority(w.t).cert(w.t, "mta-sts.example.com") }, "sts-webpki-invalid", "unknown authority"},

		{"301", redirect(301), nil, "sts-policy-fetch-error", "answers 301"},
		{"302", redirect(302), nil, "sts-policy-fetch-error", "answers 302"},
		{"307", redirect(307), nil, "sts-policy-fetch-error", "answers 307"},
		{"308", redirect(308), nil, "sts-policy-fetch-error", "answers 308"},
		{"404", status(404), nil, "sts-policy-fetch-error", "answers 404"},
		{"500", status(500), nil, "sts-policy-fetch-error", "answers 500"},
		{"203", status(203), nil, "sts-policy-fetch-error", "answers 203"},
		{"HTML", typed("text/html"), nil, "sts-policy-fetch-error", `its type is "text/html"`},
		{"no type", typed(""), nil, "sts-policy-fetch-error", `its type is ""`},
		{"a type that begins alike", typed("text/plainly"), nil, "sts-policy-fetch-error", "its type"},
		{"one byte too large", text(good + "x: " + strings.Repeat("x", MaxSize-len(good)-2)), nil, "sts-policy-fetch-error", "longer than 65536 bytes"},
		{"no end", func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "text/plain")
			for r.Context().Err() == nil {
				if _, err := rw.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}, nil, "sts-policy-fetch-error", "longer than"},
		{"a long header", func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("X", strings.Repeat("x", 2*MaxSize))
			text(good)(rw, r)
		}, nil, "sts-policy-fetch-error", "headers exceeded"},
		{"hangs", func(rw http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, nil, "sts-policy-fetch-error", "it took more than 1m0s"},
		{"drips", func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "text/plain")
			for _, b := range []byte(good) {
				if _, err := rw.Write([]byte{b}); err != nil {
					return
				}
				rw.(http.Flusher).Flush()
				select {
				case <-time.After(10 * time.Second):
				case <-r.Context().Done():
					return
				}
			}
		}, nil, "sts-policy-fetch-error", "it took more than 1m0s"},
		{"cut off", func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "text/plain")
			rw.Header().Set("Content-Length", "1000")
			io.WriteString(rw, good)
		}, nil, "sts-policy-fetch-error", "unexpected EOF"},
		{"empty", text(""), nil, "sts-policy-invalid", "no version"},
		{"BOM", text("\ufeff" + good), nil, "sts-policy-invalid", "line 1"},
		{"no policy", text("hello: world\n"), nil, "sts-policy-invalid", "no version"},
		{"compressed although nobody asked", func(rw http.ResponseWriter, r *http.Request) {
			if enc := r.Header.Get("Accept-Encoding"); enc != "" {
				t.Errorf("asks for %q", enc)
			}
			rw.Header().Set("Content-Encoding", "gzip")
			text("\x1f\x8b\x08")(rw, r)
		}, nil, "sts-policy-invalid", "line 1"},
		{"no such host", text(good), func(w *world) { delete(w.addrs, "mta-sts.example.com") }, "sts-policy-fetch-error", "Host not found"},
		{"SERVFAIL for the host", text(good), func(w *world) {
			w.addrs["mta-sts.example.com"] = &dns.Error{Name: "mta-sts.example.com", Type: "A"}
		}, "sts-policy-fetch-error", "try again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.publish("example.com", "1", "")
				w.page = c.page
				if c.world != nil {
					c.world(w)
				}
				began := time.Now()
				p, err := w.fetcher().Policy(t.Context(), "example.com")
				if took := time.Since(began); took > time.Minute {
					t.Errorf("it took %v", took)
				}
				if c.result == "" {
					if err != nil || p.Mode != ModeEnforce || p.MaxAge != 7*24*time.Hour {
						t.Errorf("%+v, %v", p, err)
					}
					return
				}
				var f *Failure
				if !errors.As(err, &f) || f.Result != c.result || !strings.Contains(err.Error(), c.reason) || p.Mode != "" {
					t.Errorf("%+v, %v; want %s, %q", p, err, c.result, c.reason)
				}
				if _, gets := w.counts(); gets > 1 {
					t.Errorf("%d requests", gets)
				}
			})
		})
	}
}

// A server that speaks nothing newer than TLS 1.1 is none, nor is one that speaks none.
func TestFetchWithoutTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.publish("example.com", "1", good)
		for _, speak := range []func(net.Conn){
			func(c net.Conn) {
				io.CopyN(io.Discard, c, 20)
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"+good)
			},
			func(c net.Conn) {
				server := tls.Server(c, &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10, Certificates: []tls.Certificate{*w.ca.cert(t, "mta-sts.example.com")}})
				if err := server.Handshake(); err == nil {
					t.Error("TLS 1.1 is spoken")
				}
			},
		} {
			f := w.fetcher()
			f.Dial = func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := pipe()
				go func() {
					defer theirs.Close()
					speak(theirs)
				}()
				return ours, nil
			}
			var failure *Failure
			if p, err := f.Policy(t.Context(), "example.com"); !errors.As(err, &failure) || failure.Result != "sts-policy-fetch-error" {
				t.Errorf("%+v, %v", p, err)
			}
		}
	})
}

// Both addresses of the policy host are tried, at port 443 and nowhere else.
func TestFetchAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.publish("example.com", "1", good)
		if _, err := w.fetcher().Policy(t.Context(), "example.com"); err != nil {
			t.Error(err)
		}
		if got := strings.Join(w.dials, ", "); got != "tcp 192.0.2.1:443, tcp 192.0.2.2:443" {
			t.Errorf("connects to %s", got)
		}
	})
}

func TestRecord(t *testing.T) {
	w := &world{
		txt: map[string][]string{
			"_mta-sts.good.example":  {"v=spf1 -all", "v=STSv1; id=1"},
			"_mta-sts.two.example":   {"v=STSv1; id=1", "v=STSv1; id=2"},
			"_mta-sts.other.example": {"hello"},
		},
		txtIs: map[string]error{"_mta-sts.down.example": &dns.Error{Name: "x", Type: "TXT"}},
	}
	f := &Fetcher{Resolver: w}
	if id, err := f.Record(t.Context(), "good.example"); id != "1" || err != nil {
		t.Errorf("good: %q, %v", id, err)
	}
	var failure *Failure
	if _, err := f.Record(t.Context(), "two.example"); !errors.As(err, &failure) || failure.Result != "sts-policy-invalid" {
		t.Errorf("two: %v", err)
	}
	for _, domain := range []string{"other.example", "none.example"} {
		if _, err := f.Record(t.Context(), domain); err != ErrNoRecord {
			t.Errorf("%s: %v", domain, err)
		}
	}
	if _, err := f.Record(t.Context(), "down.example"); !errors.Is(err, dns.ErrTemporary) || errors.As(err, &failure) && failure == nil {
		t.Errorf("down: %v", err)
	}
}
