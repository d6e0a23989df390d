package dnscheck

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// The record of RFC 7208, as its section 12 writes it down.

// maxRecord bounds a record that is looked at, in bytes.
const maxRecord = 8192

// spfTerm is a mechanism, or a modifier (qualifier 0).
type spfTerm struct {
	qualifier byte // + - ~ ?
	name      string
	domain    string       // behind ":" or "="; it may have macros in it
	net       netip.Prefix // of ip4 and ip6
	bits4     int          // of a and mx
	bits6     int
}

// spfTexts are the SPF records among the texts of a name: one may be there.
func spfTexts(txts []string) (list []string) {
	for _, t := range txts {
		if len(t) >= 6 && strings.EqualFold(t[:6], "v=spf1") && (len(t) == 6 || t[6] == ' ') {
			list = append(list, t)
		}
	}
	return list
}

// parseSPF reads a record. Each error is one that makes receivers say permerror.
func parseSPF(record string) (terms []spfTerm, err error) {
	if len(record) > maxRecord {
		return nil, fmt.Errorf("it is longer than %d bytes", maxRecord)
	}
	seen := map[string]bool{}
	for _, word := range strings.Split(record[len("v=spf1"):], " ") {
		if word == "" {
			continue
		}
		t, err := parseSPFTerm(word)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", short(word), err)
		}
		if t.qualifier == 0 && (t.name == "redirect" || t.name == "exp") {
			if seen[t.name] {
				return nil, fmt.Errorf("%s stands in it twice", t.name)
			}
			seen[t.name] = true
		}
		terms = append(terms, t)
	}
	return terms, nil
}

func parseSPFTerm(word string) (t spfTerm, err error) {
	end := strings.IndexAny(word, ":=/")
	if end >= 0 && word[end] == '=' {
		t.name, t.domain = strings.ToLower(word[:end]), word[end+1:]
		if !spfName(t.name) {
			return t, errors.New("this is neither a mechanism nor a modifier")
		}
		if !spfMacros(t.domain) {
			return t, errors.New("bad macro")
		}
		if t.domain == "" && (t.name == "redirect" || t.name == "exp") {
			return t, errors.New("no domain behind it")
		}
		return t, nil
	}
	t.qualifier = '+'
	if strings.IndexByte("+-~?", word[0]) >= 0 {
		t.qualifier, word, end = word[0], word[1:], end-1
	}
	rest := ""
	if t.name = strings.ToLower(word); end >= 0 {
		t.name, rest = strings.ToLower(word[:end]), word[end:]
	}
	return t, t.value(rest)
}

// value reads what stands behind the name of a mechanism: ":domain/bits//bits".
func (t *spfTerm) value(rest string) (err error) {
	t.bits4, t.bits6 = 32, 128
	switch t.name {
	case "all":
		if rest != "" {
			return errors.New("nothing may follow all")
		}
	case "ip4", "ip6":
		s, ok := strings.CutPrefix(rest, ":")
		if !ok {
			return errors.New("no address behind it")
		}
		if !strings.Contains(s, "/") {
			addr, err := netip.ParseAddr(s)
			if err != nil {
				return errors.New("no address behind it")
			}
			s = netip.PrefixFrom(addr, addr.BitLen()).String()
		}
		if t.net, err = netip.ParsePrefix(s); err != nil || t.net.Addr().Is4() != (t.name == "ip4") || t.net.Addr().Zone() != "" {
			return errors.New("no network of " + t.name + " behind it")
		}
	case "a", "mx":
		if rest, err = t.cidr(rest); err != nil {
			return err
		}
		return t.target(rest, false)
	case "ptr":
		return t.target(rest, false)
	case "include", "exists":
		return t.target(rest, true)
	default:
		return errors.New("there is no such mechanism")
	}
	return nil
}

func (t *spfTerm) target(rest string, needed bool) error {
	if rest == "" && !needed {
		return nil
	}
	domain, ok := strings.CutPrefix(rest, ":")
	if !ok || domain == "" {
		return errors.New("no domain behind it")
	}
	if t.domain = domain; !spfMacros(domain) {
		return errors.New("bad macro")
	}
	return nil
}

// cidr takes "/bits", "//bits6" or "/bits//bits6" from the end.
func (t *spfTerm) cidr(s string) (before string, err error) {
	m := cidrLengths.FindStringSubmatch(s)
	if m == nil {
		return s, nil
	}
	number := func(digits string, most int) int {
		n, err := strconv.Atoi(digits)
		if err != nil || n > most || len(digits) > 1 && digits[0] == '0' {
			return -1
		}
		return n
	}
	if m[2] != "" {
		t.bits4 = number(m[2], 32)
	}
	if m[3] != "" {
		t.bits6 = number(m[3], 128)
	}
	if t.bits4 < 0 || t.bits6 < 0 {
		return "", errors.New("a network is not that long")
	}
	return m[1], nil
}

var cidrLengths = regexp.MustCompile(`^(.*?)(?:/([0-9]+))?(?://([0-9]+))?$`)

func spfName(s string) bool { return spfNames.MatchString(s) }

var spfNames = regexp.MustCompile(`^[a-z][a-z0-9_.-]*$`)

// spfMacros tells whether the macros of a string are well-formed (RFC 7208 section 7.1).
func spfMacros(s string) bool {
	return !strings.Contains(spfMacro.ReplaceAllString(s, ""), "%") && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' })
}

var spfMacro = regexp.MustCompile(`%(?:[%_-]|\{[slodiphcrtvSLODIPHCRTV][0-9]{0,3}[rR]?[.+,/_=-]*\})`)
