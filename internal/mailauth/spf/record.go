package spf

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"aliasmx/internal/mail"
)

// A record, as RFC 7208 section 12 writes it down.

// Record is an SPF record that was read.
type Record struct {
	mechanisms []mechanism
	redirect   *domainSpec
	exp        *domainSpec
}

// mechanism is one term that can match.
type mechanism struct {
	text   string // as it stands in the record, without the qualifier
	result mail.AuthResult
	name   string       // in lower case
	domain *domainSpec  // nil: the domain that has the record
	net    netip.Prefix // of ip4 and ip6
	bits4  int          // of a and mx
	bits6  int
}

// asks tells whether a mechanism puts questions to the DNS.
func (m *mechanism) asks() bool { return m.name != "all" && m.name != "ip4" && m.name != "ip6" }

// Records are the SPF records among the texts of a name. More than one are an error of
// whoever publishes them (RFC 7208 section 4.5).
func Records(texts []string) (list []string) {
	for _, t := range texts {
		if len(t) >= len(version) && strings.EqualFold(t[:len(version)], version) && (len(t) == len(version) || t[len(version)] == ' ') {
			list = append(list, t)
		}
	}
	return list
}

const version = "v=spf1"

// Parse reads a record, one of Records. An error says what makes receivers find a permerror.
func Parse(text string) (Record, error) {
	var r Record
	if len(text) > maxRecord {
		return r, fmt.Errorf("it is longer than %d bytes", maxRecord)
	}
	if len(Records([]string{text})) == 0 {
		return r, errors.New("it does not begin with " + version)
	}
	// Large senders list sixty networks in a record; whoever has more spaces than terms gets
	// no more than that.
	r.mechanisms = make([]mechanism, 0, min(strings.Count(text, " "), 64))
	for word := range strings.SplitSeq(text[len(version):], " ") {
		if word == "" {
			continue
		}
		if err := r.term(word); err != nil {
			return Record{}, fmt.Errorf("%s: %w", short(word), err)
		}
	}
	return r, nil
}

// term reads one term into the record.
func (r *Record) term(word string) error {
	end := strings.IndexAny(word, ":=/")
	if end >= 0 && word[end] == '=' {
		return r.modifier(strings.ToLower(word[:end]), word[end+1:])
	}
	m := mechanism{result: mail.AuthPass, bits4: 32, bits6: 128}
	if result, ok := qualifiers[word[0]]; ok {
		m.result, word, end = result, word[1:], end-1
	}
	rest := ""
	if m.text, m.name = word, strings.ToLower(word); end >= 0 {
		m.name, rest = strings.ToLower(word[:end]), word[end:]
	}
	if err := m.value(rest); err != nil {
		return err
	}
	r.mechanisms = append(r.mechanisms, m)
	return nil
}

var qualifiers = map[byte]mail.AuthResult{'+': mail.AuthPass, '-': mail.AuthFail, '~': mail.AuthSoftFail, '?': mail.AuthNeutral}

// modifier reads "name=value". The names that are known are not taken for unknown ones when
// their value is malformed (RFC 7208 section 6).
func (r *Record) modifier(name, value string) (err error) {
	if !modifierName.MatchString(name) {
		return errors.New("this is neither a mechanism nor a modifier")
	}
	known := map[string]**domainSpec{"redirect": &r.redirect, "exp": &r.exp}[name]
	switch {
	case known == nil:
		_, err = parseMacros(value, true)
		return err
	case *known != nil:
		return fmt.Errorf("%s stands in it twice", name)
	}
	*known, err = parseDomain(value)
	return err
}

var modifierName = regexp.MustCompile(`^[a-z][a-z0-9_.-]*$`)

// value reads what stands behind the name of a mechanism: ":domain/bits//bits".
func (m *mechanism) value(rest string) (err error) {
	switch m.name {
	case "all":
		if rest != "" {
			return errors.New("nothing may follow all")
		}
	case "ip4", "ip6":
		return m.network(rest)
	case "a", "mx":
		if rest, err = m.cidr(rest); err != nil {
			return err
		}
		return m.target(rest, false)
	case "ptr":
		return m.target(rest, false)
	case "include", "exists":
		return m.target(rest, true)
	default:
		return errors.New("there is no such mechanism")
	}
	return nil
}

func (m *mechanism) network(rest string) error {
	s, ok := strings.CutPrefix(rest, ":")
	s, digits, cut := strings.Cut(s, "/")
	addr, err := netip.ParseAddr(s)
	if !ok || err != nil || addr.Zone() != "" {
		return errors.New("no address behind it")
	}
	if addr.Is4() != (m.name == "ip4") {
		return errors.New("an address of the other family behind it")
	}
	bits := addr.BitLen()
	if cut {
		if bits = number(digits, bits); bits < 0 {
			return errNetwork
		}
	}
	m.net = netip.PrefixFrom(addr, bits).Masked()
	return nil
}

var errNetwork = errors.New("a network is not that long")

func (m *mechanism) target(rest string, needed bool) (err error) {
	if rest == "" && !needed {
		return nil
	}
	domain, ok := strings.CutPrefix(rest, ":")
	if !ok {
		return errNoDomain
	}
	m.domain, err = parseDomain(domain)
	return err
}

// cidr takes "/bits", "//bits6" or "/bits//bits6" from the end.
func (m *mechanism) cidr(s string) (before string, err error) {
	parts := cidrLengths.FindStringSubmatch(s)
	if parts == nil {
		return s, nil
	}
	if parts[2] != "" {
		m.bits4 = number(parts[2], 32)
	}
	if parts[3] != "" {
		m.bits6 = number(parts[3], 128)
	}
	if m.bits4 < 0 || m.bits6 < 0 {
		return "", errNetwork
	}
	return parts[1], nil
}

var cidrLengths = regexp.MustCompile(`^(.*?)(?:/([0-9]+))?(?://([0-9]+))?$`)

// number is a length of a network in bits, -1 if it is none. A leading zero is none, as in
// addresses.
func number(digits string, most int) int {
	n, err := strconv.ParseUint(digits, 10, 8)
	if err != nil || int(n) > most || len(digits) > 1 && digits[0] == '0' {
		return -1
	}
	return int(n)
}

// Everybody is what the record says of a client that nothing else in it names; "" if nothing
// (it has no "all"). only tells that it has no other mechanism before it.
func (r Record) Everybody() (result mail.AuthResult, only bool) {
	for i, m := range r.mechanisms {
		if m.name == "all" {
			return m.result, i == 0
		}
	}
	return "", false
}

// Redirects tells whether another record is to be asked where this one says nothing.
func (r Record) Redirects() bool { return r.redirect != nil }

// short quotes what a stranger has published, bounded.
func short(s string) string {
	const most = 80
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "..."
	}
	return strconv.QuoteToASCII(s)
}
