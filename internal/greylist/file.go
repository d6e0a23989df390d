package greylist

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"aliasmx/internal/cachefile"
)

// The file has a line for each triple, with when it came first and last, and for each
// network, with how many of its triples have passed and when mail came last:
//
//	triple 192.0.2.0/24 "sender@client.example" "info@alias.example" 1764000000 1764000360
//	network 192.0.2.0/24 3 1764000360

const fileKind = "greylist 1"

func encode(triples map[triple]stamps, networks map[netip.Prefix]passes) []byte {
	var b []byte
	for t, s := range triples {
		b = append(append(b, "triple "...), t.network.String()...)
		b = strconv.AppendQuoteToASCII(append(b, ' '), t.sender)
		b = strconv.AppendQuoteToASCII(append(b, ' '), t.recipient)
		b = fmt.Appendf(b, " %d %d\n", cachefile.Unix(s.first), cachefile.Unix(s.last))
	}
	for network, n := range networks {
		b = fmt.Appendf(b, "network %s %d %d\n", network, n.count, cachefile.Unix(n.last))
	}
	return cachefile.Encode(fileKind, time.Time{}, len(triples)+len(networks), b)
}

// decode reads what encode wrote.
func decode(b []byte) (map[triple]stamps, map[netip.Prefix]passes, error) {
	triples, networks := map[triple]stamps{}, map[netip.Prefix]passes{}
	_, err := cachefile.Decode(fileKind, b, func(line string) bool {
		kind, rest, _ := strings.Cut(line, " ")
		word, rest, _ := strings.Cut(rest, " ")
		network, err := netip.ParsePrefix(word)
		if err != nil || network != network.Masked() || network.String() != word {
			return false
		}
		switch kind {
		case "triple":
			t := triple{network: network}
			var s stamps
			ok := unquote(&rest, &t.sender) && unquote(&rest, &t.recipient) && twoTimes(rest, &s.first, &s.last)
			_, twice := triples[t]
			triples[t] = s
			return ok && !twice
		case "network":
			var n passes
			var count, last int64
			if !twoNumbers(rest, &count, &last) || count <= 0 {
				return false
			}
			n.count, n.last = int(count), cachefile.FromUnix(last)
			_, twice := networks[network]
			networks[network] = n
			return !twice
		}
		return false
	})
	if err != nil {
		return nil, nil, err
	}
	return triples, networks, nil
}

// unquote takes a quoted word and the space behind it off a line.
func unquote(line *string, into *string) bool {
	quoted, err := strconv.QuotedPrefix(*line)
	if err != nil {
		return false
	}
	if *into, err = strconv.Unquote(quoted); err != nil {
		return false
	}
	rest, ok := strings.CutPrefix((*line)[len(quoted):], " ")
	*line = rest
	return ok
}

func twoTimes(line string, a, b *time.Time) bool {
	var x, y int64
	ok := twoNumbers(line, &x, &y)
	*a, *b = cachefile.FromUnix(x), cachefile.FromUnix(y)
	return ok
}

func twoNumbers(line string, a, b *int64) bool {
	first, second, ok := strings.Cut(line, " ")
	x, err1 := strconv.ParseInt(first, 10, 64)
	y, err2 := strconv.ParseInt(second, 10, 64)
	*a, *b = x, y
	return ok && err1 == nil && err2 == nil && x >= 0 && y >= 0
}
