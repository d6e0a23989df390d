package screen

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"aliasmx/internal/cachefile"
)

// The file that the allow list is kept in has a line for each client, with a stamp for each
// test: "192.0.2.1 1764086400;1764003600;1;1;1".

const fileKind = "postscreen_cache 1"

// fileLine is one client, copied out of the list.
type fileLine struct {
	addr netip.Addr
	stamps
}

// lines copies the list.
func (l *allowList) lines() []fileLine {
	lines := make([]fileLine, 0, len(l.entries))
	for addr, s := range l.entries {
		lines = append(lines, fileLine{addr, s})
	}
	return lines
}

// encode writes an allow list.
func encode(lines []fileLine, cleaned time.Time) []byte {
	b := make([]byte, 0, 64*len(lines))
	for i := range lines {
		b = append(lines[i].addr.AppendTo(b), ' ')
		for t, stamp := range lines[i].stamps {
			if t > 0 {
				b = append(b, ';')
			}
			b = strconv.AppendInt(b, stamp, 10)
		}
		b = append(b, '\n')
	}
	return cachefile.Encode(fileKind, cleaned, len(lines), b)
}

// decode reads what encode wrote.
func decode(b []byte) (lines []fileLine, cleaned time.Time, err error) {
	seen := map[netip.Addr]bool{}
	cleaned, err = cachefile.Decode(fileKind, b, func(text string) bool {
		line, ok := decodeLine(text)
		ok = ok && !seen[line.addr]
		seen[line.addr] = true
		lines = append(lines, line)
		return ok
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	return lines, cleaned, nil
}

func decodeLine(text string) (line fileLine, ok bool) {
	addr, rest, _ := strings.Cut(text, " ")
	words := strings.Split(rest, ";")
	if len(words) != len(line.stamps) {
		return line, false
	}
	for t, w := range words {
		stamp, err := strconv.ParseInt(w, 10, 64)
		if err != nil || stamp < 0 {
			return line, false
		}
		line.stamps[t] = stamp
	}
	var err error
	line.addr, err = netip.ParseAddr(addr)
	return line, err == nil
}

// readFile reads the list's file. One that is not there is empty.
func readFile(path string) ([]fileLine, time.Time, error) {
	b, err := cachefile.Read(path)
	if b == nil {
		return nil, time.Time{}, err
	}
	return decode(b)
}
