package mtasts

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"aliasmx/internal/cachefile"
	"aliasmx/internal/dns"
)

// The file that the policies are kept in has a line for each, with its domain, its id, when
// it was fetched, when mail was last sent there, and its text:
//
//	example.com 20260101T000000 1764000000 1764003600 "version: STSv1\r\nmode: ..."

const fileKind = "mta_sts_cache 1"

// encode writes the policies that hold, by domain.
func encode(entries map[string]*entry, now time.Time) []byte {
	var b []byte
	n := 0
	for _, domain := range slices.Sorted(maps.Keys(entries)) {
		e := entries[domain]
		if !e.valid(now) {
			continue
		}
		b = fmt.Appendf(b, "%s %s %d %d %q\n", domain, e.id, cachefile.Unix(e.fetched), cachefile.Unix(e.used), e.policy.String())
		n++
	}
	return cachefile.Encode(fileKind, time.Time{}, n, b)
}

// decode reads what encode wrote. Times to come are taken for now: a clock that was wrong
// must not make a policy hold for longer than it says.
func decode(b []byte, now time.Time) (map[string]*entry, error) {
	entries := map[string]*entry{}
	_, err := cachefile.Decode(fileKind, b, func(line string) bool {
		domain, e, ok := decodeEntry(line)
		if !ok || entries[domain] != nil {
			return false
		}
		for _, t := range []*time.Time{&e.fetched, &e.used} {
			if t.After(now) {
				*t = now
			}
		}
		entries[domain] = e
		return true
	})
	if err != nil {
		return nil, err
	}
	return entries, nil
}

func decodeEntry(line string) (domain string, e *entry, ok bool) {
	words := strings.SplitN(line, " ", 5)
	if len(words) < 5 || !dns.ValidName(words[0]) {
		return "", nil, false
	}
	e = &entry{id: words[1]}
	fetched, err1 := strconv.ParseInt(words[2], 10, 64)
	used, err2 := strconv.ParseInt(words[3], 10, 64)
	text, err3 := strconv.Unquote(words[4])
	if err1 != nil || err2 != nil || err3 != nil || e.id == "" {
		return "", nil, false
	}
	var err error
	if e.policy, err = parsePolicy(text); err != nil {
		return "", nil, false
	}
	e.fetched, e.used = cachefile.FromUnix(fetched), cachefile.FromUnix(used)
	return words[0], e, true
}

// readFile reads the file. One that is not there is empty.
func readFile(path string, now time.Time) (map[string]*entry, error) {
	b, err := cachefile.Read(path)
	if b == nil {
		return nil, err
	}
	return decode(b, now)
}
