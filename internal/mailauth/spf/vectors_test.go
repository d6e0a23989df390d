package spf

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"slices"
	"testing"

	lib "github.com/miekg/dns"
	"go.yaml.in/yaml/v3"

	"aliasmx/integration/smuggle"
	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/mail"
)

// The public suite of RFC 7208: all of it, explanations included, without an exception.

// vectors is the suite, from the folder that ALIASMX_VECTORS names.
func vectors(t testing.TB) (list []scenario) {
	t.Helper()
	text := smuggle.File(t, "spf/pyspf/rfc7208-tests.yml")
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var s scenario
		if err := d.Decode(&s); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
}

type scenario struct {
	Description string
	Tests       map[string]struct {
		Helo, Host, Mailfrom string
		Result               words
		Explanation          string
	}
	Zone map[string][]yaml.Node `yaml:"zonedata"`
}

// words is a string, or a list of them.
type words []string

func (w *words) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*w = words{text(n)}
		return nil
	}
	for _, x := range n.Content {
		*w = append(*w, text(x))
	}
	return nil
}

// text is a scalar's bytes: the suite writes those above 127 as characters of Latin-1.
func text(n *yaml.Node) string {
	b := []byte(nil)
	for _, c := range n.Value {
		b = append(b, byte(c))
	}
	return string(b)
}

// zone makes the names of a scenario. An SPF record stands for a TXT record too, unless
// there is one.
func (s *scenario) zone(t testing.TB) *dnstest.Zone {
	z := dnstest.New(t, "")
	for name, entries := range s.Zone {
		txt, spf, timeout := [][]string(nil), [][]string(nil), false
		for i := range entries {
			n := &entries[i]
			if n.Kind == yaml.ScalarNode {
				timeout = timeout || n.Value == "TIMEOUT"
				continue
			}
			var value words
			if err := n.Content[1].Decode(&value); err != nil {
				t.Fatal(err)
			}
			switch kind := n.Content[0].Value; kind {
			case "SPF":
				spf = append(spf, value)
			case "TXT":
				txt = append(txt, value)
			default:
				z.AddRR(record(t, name, kind, value))
			}
		}
		if txt == nil {
			txt = spf
		}
		if timeout && len(s.Zone[name]) == 1 || len(txt) > 0 && len(txt[0]) == 1 && txt[0][0] == "NONE" && timeout {
			z.Fail(wire(t, name), dnstest.Silent)
		}
		for _, parts := range txt {
			if len(parts) == 1 && parts[0] == "NONE" {
				continue
			}
			z.AddRR(&lib.TXT{Hdr: header(t, name, lib.TypeTXT), Txt: escaped(parts)})
		}
	}
	return z
}

func header(t testing.TB, name string, kind uint16) lib.RR_Header {
	return lib.RR_Header{Name: wire(t, name), Rrtype: kind, Class: lib.ClassINET, Ttl: 300}
}

// wire is a name as replies have it.
func wire(t testing.TB, name string) string {
	buf := make([]byte, 255)
	if _, err := lib.PackDomainName(lib.Fqdn(name), buf, 0, nil, false); err != nil {
		t.Fatalf("%q: %v", name, err)
	}
	s, _, err := lib.UnpackDomainName(buf, 0)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// escaped are the strings of a TXT record as a reply brings them.
func escaped(parts []string) []string {
	wire := []byte{0, 0, byte(lib.TypeTXT), 0, 1, 0, 0, 0, 0, 0, 0}
	n := 0
	for _, p := range parts {
		wire = append(append(wire, byte(len(p))), p...)
		n += 1 + len(p)
	}
	wire[9], wire[10] = byte(n>>8), byte(n)
	rr, _, err := lib.UnpackRR(wire, 0)
	if err != nil {
		panic(err)
	}
	txt, _ := rr.(*lib.TXT)
	if txt == nil {
		return nil
	}
	return txt.Txt
}

func record(t testing.TB, name, kind string, value []string) lib.RR {
	t.Helper()
	switch kind {
	case "A":
		return &lib.A{Hdr: header(t, name, lib.TypeA), A: netip.MustParseAddr(value[0]).AsSlice()}
	case "AAAA":
		return &lib.AAAA{Hdr: header(t, name, lib.TypeAAAA), AAAA: netip.MustParseAddr(value[0]).AsSlice()}
	case "CNAME":
		return &lib.CNAME{Hdr: header(t, name, lib.TypeCNAME), Target: wire(t, value[0])}
	case "PTR":
		return &lib.PTR{Hdr: header(t, name, lib.TypePTR), Ptr: wire(t, value[0])}
	case "MX":
		target := "."
		if value[1] != "" {
			target = wire(t, value[1])
		}
		return &lib.MX{Hdr: header(t, name, lib.TypeMX), Mx: target, Preference: uint16(len(value[0]))<<8 | uint16(value[0][0])}
	}
	t.Fatalf("%s: a record of type %s", name, kind)
	return nil
}

func TestVectors(t *testing.T) {
	n := 0
	for _, s := range vectors(t) {
		z := s.zone(t)
		for name, c := range s.Tests {
			n++
			t.Run(name, func(t *testing.T) {
				got, trail := Explain(t.Context(), z.Resolver(), Request{
					IP: netip.MustParseAddr(c.Host), Helo: c.Helo, Sender: mail.SplitAddress(c.Mailfrom), Receiver: "mx.receiver.example",
				})
				if !slices.Contains(c.Result, string(got.Result)) {
					t.Errorf("%s: %+v, want %v\n%+v", s.Description, got, c.Result, trail)
				}
				want := c.Explanation
				if want == "DEFAULT" {
					want = ""
				}
				if c.Explanation != "" && got.Explanation != want {
					t.Errorf("%s: explanation %q, want %q\n%+v", s.Description, got.Explanation, want, trail)
				}
			})
		}
	}
	if n != 203 {
		t.Errorf("%d cases, and not 203", n)
	}
}
