package inspect

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Pattern is which IPv4 addresses count: four fields, each a number or [a;b..c]
// (postconf(5): reject_rbl_client).
type Pattern [4][]span

// span is the numbers from low to high.
type span struct{ low, high uint8 }

// ParsePattern reads a pattern such as 127.0.[0;1].[2..4;10].
func ParsePattern(s string) (Pattern, error) {
	var p Pattern
	bad := func(why string) (Pattern, error) {
		return Pattern{}, fmt.Errorf("bad address pattern %q: %s; write one such as 127.0.0.[2..4]", s, why)
	}
	rest := s
	for i := range p {
		field := ""
		if strings.HasPrefix(rest, "[") {
			end := strings.IndexByte(rest, ']')
			if end < 0 {
				return bad("missing ]")
			}
			field, rest = rest[1:end], rest[end+1:]
			for part := range strings.SplitSeq(field, ";") {
				low, high, ranged := strings.Cut(part, "..")
				if !ranged {
					high = low
				}
				from, to, ok := number(low), number(high), true
				if from < 0 || to < from {
					ok = false
				}
				if !ok {
					return bad(strconv.Quote(part) + " is neither a number from 0 to 255 nor a range")
				}
				p[i] = append(p[i], span{uint8(from), uint8(to)})
			}
		} else {
			end := strings.IndexByte(rest, '.')
			if end < 0 {
				end = len(rest)
			}
			field, rest = rest[:end], rest[end:]
			n := number(field)
			if n < 0 {
				return bad(strconv.Quote(field) + " is no number from 0 to 255")
			}
			p[i] = []span{{uint8(n), uint8(n)}}
		}
		if i == len(p)-1 {
			break
		}
		if !strings.HasPrefix(rest, ".") {
			return bad("it needs four fields")
		}
		rest = rest[1:]
	}
	if rest != "" {
		return bad("there is something behind the fourth field")
	}
	return p, nil
}

// number reads 0 to 255; what is not is -1.
func number(s string) int {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > 3 || strings.Trim(s, "0123456789") != "" {
		return -1
	}
	n, _ := strconv.Atoi(s)
	if n > 255 {
		return -1
	}
	return n
}

// Matches tells whether an address counts.
func (p *Pattern) Matches(a netip.Addr) bool {
	if !a.Is4() {
		return false
	}
	for i, octet := range a.As4() {
		hit := false
		for _, s := range p[i] {
			hit = hit || s.low <= octet && octet <= s.high
		}
		if !hit {
			return false
		}
	}
	return true
}
