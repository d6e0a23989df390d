package arc

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"aliasmx/integration/smuggle"
	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/mail"
)

// TestPublicSuite is the suite that the authors of the protocol have published, whole.
func TestPublicSuite(t *testing.T) {
	type scenario struct {
		Description string
		Tests       yaml.Node         // a mapping in which names stand twice
		TXT         map[string]string `yaml:"txt-records"`
	}
	// What the suite expects of cases that it leaves open ("cv:" without a value): a chain
	// that says of itself that it failed, and RFC 8617 section 5.2 is plain about it (step 2
	// for the newest seal, step 3C for the others).
	open := mail.AuthFail
	dec := yaml.NewDecoder(bytes.NewReader(smuggle.File(t, "arc/valimail/tests/arc-draft-validation-tests.yml")))
	ran := 0
	for {
		var s scenario
		if err := dec.Decode(&s); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		zone := dnstest.New(t, "")
		for name, text := range s.TXT {
			zone.AddTXT(name, text)
		}
		for i := 0; i < len(s.Tests.Content); i += 2 {
			name := s.Tests.Content[i].Value
			var c struct{ Description, Message, CV string }
			if err := s.Tests.Content[i+1].Decode(&c); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			want := mail.AuthResult(strings.ToLower(strings.TrimSpace(c.CV)))
			if want == "" {
				want = open
			}
			ran++
			t.Run(s.Description+"/"+name, func(t *testing.T) {
				chain, err := Verify(t.Context(), strings.NewReader(strings.ReplaceAll(c.Message, "\n", "\r\n")), VerifyOptions{
					Resolver: zone.Resolver(), Now: func() time.Time { return time.Unix(12345, 0) },
				})
				if err != nil || chain.CV != want {
					t.Errorf("%s: cv=%s, want %s; %s, %v", c.Description, chain.CV, want, chain.Reason, err)
				}
				t.Log(chain)
			})
		}
	}
	if ran < 170 {
		t.Errorf("%d cases, fewer than the suite has", ran)
	}
}
