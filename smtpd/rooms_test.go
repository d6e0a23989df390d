package smtpd

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"aliasmx/internal/mail"
)

// The rooms that restrictions ask, as far as tests need them.

var (
	errNone   = errors.New("not found")
	errNullMX = errors.New("null MX")
	errDown   = errors.New("no answer")
)

// zone is a Resolver: "name MX", "name NS" and "name A" with hosts or addresses, separated
// by spaces; "." is a null MX. A name alone with "?" does not answer.
type zone map[string]string

func (z zone) ask(name, kind string) ([]string, error) {
	if z[name] == "?" || z[name+" "+kind] == "?" {
		return nil, errDown
	}
	list := strings.Fields(z[name+" "+kind])
	switch {
	case len(list) == 0:
		return nil, errNone
	case list[0] == ".":
		return nil, errNullMX
	}
	return list, nil
}

func (z zone) MX(_ context.Context, domain string) ([]string, error) { return z.ask(domain, "MX") }
func (z zone) NS(_ context.Context, domain string) ([]string, error) { return z.ask(domain, "NS") }
func (z zone) NotFound(err error) bool                               { return errors.Is(err, errNone) }
func (z zone) NullMX(err error) bool                                 { return errors.Is(err, errNullMX) }

func (z zone) Addrs(_ context.Context, host string) ([]netip.Addr, error) {
	list, err := z.ask(host, "A")
	var addrs []netip.Addr
	for _, a := range list {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	return addrs, err
}

// dict is a Table: "key value" pairs, separated by ";". The key "!" does not answer.
type dict struct {
	name  string
	pairs map[string]string
	mu    sync.Mutex
	asked []string
}

func newDict(text string) *dict {
	d := &dict{name: "inline:{" + text + "}", pairs: make(map[string]string)}
	for pair := range strings.SplitSeq(text, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(pair), " ")
		d.pairs[strings.ToLower(key)] = strings.TrimSpace(value)
	}
	return d
}

func (d *dict) Name() string { return d.name }

func (d *dict) Lookup(_ context.Context, key string) (string, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, key)
	if _, broken := d.pairs["!"]; broken {
		return "", false, errDown
	}
	value, found := d.pairs[strings.ToLower(key)]
	return value, found, nil
}

// published is a DNSList: "name text" pairs, separated by ";".
type published struct {
	name string
	text map[string]string
	down bool
}

func (p *published) Name() string { return p.name }

func (p *published) Address(_ context.Context, a netip.Addr) (bool, string, error) {
	return p.Domain(context.Background(), a.String())
}

func (p *published) Domain(_ context.Context, domain string) (bool, string, error) {
	if p.down {
		return false, "", errDown
	}
	text, listed := p.text[domain]
	return listed, text, nil
}

// oracle is a Policy that answers in turn; "" is a failure.
type oracle struct {
	name, byDefault string
	mu              sync.Mutex
	answers         []string
	asked           []map[string]string
}

func (o *oracle) Name() string          { return o.name }
func (o *oracle) DefaultAction() string { return o.byDefault }

func (o *oracle) Ask(_ context.Context, attributes [][2]string) (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	asked := make(map[string]string)
	for _, a := range attributes {
		asked[a[0]] = a[1]
	}
	o.asked = append(o.asked, asked)
	answer := o.answers[0]
	if len(o.answers) > 1 {
		o.answers = o.answers[1:]
	}
	if answer == "" {
		return "", errDown
	}
	return answer, nil
}

// verdicts is a Verifier: what it says of an address.
type verdicts map[string]mail.Verdict

func (v verdicts) VerifyRecipient(_ context.Context, a mail.Address) (mail.Verdict, error) {
	verdict, ok := v[a.Internal()]
	if !ok {
		return mail.Verdict{}, errDown
	}
	return verdict, nil
}

func (v verdicts) VerifySender(ctx context.Context, a mail.Address) (mail.Verdict, error) {
	return v.VerifyRecipient(ctx, a)
}

// scene is what the lists of a test may name: inline:NAME tables, lists, policy servers.
type scene struct {
	tables   map[string]*dict
	lists    map[string]*published
	policies map[string]*oracle
	classes  map[string][]string
	language *Language
}

// newLanguage is a Language over the rooms of a scene.
func (s *scene) newLanguage() *Language {
	if s.language != nil {
		return s.language
	}
	l := &Language{
		DNS: true, Verify: true, Classes: s.classes,
		OpenTable: func(spec string) (Table, bool, error) {
			kind, name, _ := strings.Cut(spec, ":")
			if t := s.tables[name]; t != nil {
				return t, kind == "regexp", nil
			}
			if body, ok := strings.CutPrefix(name, "{"); ok {
				return newDict(strings.TrimSuffix(body, "}")), false, nil
			}
			return nil, false, fmt.Errorf("open %s: no such file", spec)
		},
		OpenList: func(spec string) (DNSList, error) {
			if p := s.lists[spec]; p != nil {
				p.name = spec
				return p, nil
			}
			return nil, fmt.Errorf("bad list %s", spec)
		},
		OpenPolicy: func(spec string) (Policy, error) {
			if p := s.policies[spec]; p != nil {
				p.name = spec
				return p, nil
			}
			return nil, fmt.Errorf("bad server %s", spec)
		},
	}
	s.language = l
	return l
}

// parse reads a list as main.cf has it.
func (s *scene) parse(list string) []Restriction {
	parsed, err := s.newLanguage().Parse(splitList(list))
	if err != nil {
		panic(err)
	}
	return parsed
}
