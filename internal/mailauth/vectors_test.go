package mailauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"aliasmx/integration/smuggle"
	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth/arc"
	"aliasmx/internal/mailauth/dmarc"
)

// The public vectors run in the packages that they are about. Here they come as messages,
// through all of what judges one, and give the same.

func TestARCVectors(t *testing.T) {
	dec := yaml.NewDecoder(bytes.NewReader(smuggle.File(t, "arc/valimail/tests/arc-draft-validation-tests.yml")))
	ran := 0
	for {
		var s struct {
			Tests yaml.Node
			TXT   map[string]string `yaml:"txt-records"`
		}
		if err := dec.Decode(&s); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t)
		w.o.Now = func() time.Time { return time.Unix(12345, 0) }
		for name, text := range s.TXT {
			w.zone.AddTXT(name, text)
		}
		for i := 0; i < len(s.Tests.Content); i += 2 {
			var c struct{ Message string }
			if err := s.Tests.Content[i+1].Decode(&c); err != nil {
				t.Fatal(err)
			}
			ran++
			message := crlf(c.Message)
			want, err := arc.Verify(context.Background(), strings.NewReader(message), arc.VerifyOptions{Resolver: w.zone.Resolver(), Now: w.o.Now})
			if err != nil {
				t.Fatal(err)
			}
			f, _, err := w.verifier().Examine(context.Background(), request("192.0.2.1", "h", "x@a.example"), bodyOf(message))
			if err != nil || !reflect.DeepEqual(f.ARC, want) {
				t.Errorf("%s: %+v, want %+v (%v)", s.Tests.Content[i].Value, f.ARC, want, err)
			}
		}
	}
	if ran < 170 {
		t.Errorf("%d cases", ran)
	}
}

func TestDMARCVectors(t *testing.T) {
	var cases []struct {
		Name  string
		Calls []struct {
			Args struct {
				HeaderFrom              string
				DKIMDomains, SPFDomains []struct{ Domain string }
			}
			DNS map[string]map[string][]json.RawMessage
		}
	}
	smuggle.Read(t, "../dmarc/mailauth-rfc9989-compliance.json", &cases)
	if len(cases) < 29 {
		t.Fatalf("%d cases", len(cases))
	}
	base := newWorld(t)
	for _, c := range cases {
		for _, call := range c.Calls {
			w := *base
			w.t, w.zone = t, dnstest.New(t, "")
			for name, types := range call.DNS {
				for _, raw := range types["TXT"] {
					var texts []string
					if json.Unmarshal(raw, &texts) == nil {
						w.zone.Add(t, name+`. TXT "`+strings.Join(texts, `" "`)+"\"\n")
					}
				}
			}
			r := request("192.0.2.1", "h", "x@nothing.test")
			message := letter("<" + call.Args.HeaderFrom + ">")
			_, author, _ := strings.Cut(call.Args.HeaderFrom, "@")
			path := dmarc.Identity{Domain: "nothing.test", Result: mail.AuthNone}
			for _, d := range call.Args.SPFDomains {
				w.zone.AddTXT(d.Domain, "v=spf1 ip4:192.0.2.1 -all")
				r.Sender.Domain = d.Domain
				path = dmarc.Identity{Domain: d.Domain, Result: mail.AuthPass}
			}
			var signers []dmarc.Identity
			for _, d := range call.Args.DKIMDomains {
				w.zone.AddTXT("s._domainkey."+d.Domain, w.keyRecord())
				message = w.signed(d.Domain, message)
				signers = append(signers, dmarc.Identity{Domain: d.Domain, Result: mail.AuthPass})
			}
			want := dmarc.Check(context.Background(), w.zone.Resolver(), author, path, signers)
			f, _, err := w.verifier().Examine(context.Background(), r, bodyOf(message))
			if err != nil || f.DMARC != want {
				t.Errorf("%s: %+v, want %+v (%v)", c.Name, f.DMARC, want, err)
			}
		}
	}
}
