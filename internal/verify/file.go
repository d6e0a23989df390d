package verify

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"aliasmx/internal/cachefile"
	"aliasmx/internal/mail"
)

// The file that the cache is kept in has a line for each address:
//
//	250 2.1.5 deliverable 1764000000 0 "a@virt.example" "250 2.1.5 Ok" "250 2.1.5 Ok"

const fileKind = "verify_cache 1"

// maxReason bounds what is remembered of a server's reply. smtpd shows 250 bytes of it.
const maxReason = 500

var stateNames = [...]string{
	mail.VerdictDeliverable: "deliverable",
	mail.VerdictDeferred:    "deferred",
	mail.VerdictRefused:     "refused",
}

// fileLine is one address, copied out of the cache.
type fileLine struct {
	key string
	entry
}

// list copies the cache. The caller holds the Verifier's lock.
func (c *cache) list() []fileLine {
	lines := make([]fileLine, 0, len(c.entries))
	for key, e := range c.entries {
		lines = append(lines, fileLine{key, *e})
	}
	return lines
}

// encode writes the entries of a cache.
func encode(lines []fileLine, cleaned time.Time) []byte {
	var b []byte
	for i := range lines {
		key, e := lines[i].key, &lines[i].entry
		v := &e.verdict
		b = fmt.Appendf(b, "%d %s %s %d %d ", v.Status.Code, v.Status.Enhanced, stateNames[v.State],
			cachefile.Unix(e.updated), cachefile.Unix(e.probed))
		b = strconv.AppendQuoteToASCII(b, key)
		b = strconv.AppendQuoteToASCII(append(b, ' '), v.Status.Text)
		b = strconv.AppendQuoteToASCII(append(b, ' '), v.Reason)
		b = append(b, '\n')
	}
	return cachefile.Encode(fileKind, cleaned, len(lines), b)
}

// decode reads what encode wrote.
func decode(b []byte) (entries map[string]*entry, cleaned time.Time, err error) {
	entries = map[string]*entry{}
	cleaned, err = cachefile.Decode(fileKind, b, func(line string) bool {
		key, e, ok := decodeEntry(line)
		ok = ok && entries[key] == nil
		entries[key] = e
		return ok
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	return entries, cleaned, nil
}

func decodeEntry(line string) (key string, e *entry, ok bool) {
	e = &entry{}
	v := &e.verdict
	var state string
	var updated, probed int64
	words := strings.SplitN(line, " ", 6)
	if len(words) < 6 {
		return "", nil, false
	}
	n, err := fmt.Sscanf(strings.Join(words[:5], " "), "%d %d.%d.%d %s %d %d", &v.Status.Code,
		&v.Status.Enhanced[0], &v.Status.Enhanced[1], &v.Status.Enhanced[2], &state, &updated, &probed)
	if err != nil || n != 7 {
		return "", nil, false
	}
	for s, name := range stateNames {
		if name == state && name != "" {
			v.State = mail.VerdictState(s)
		}
	}
	e.updated, e.probed = cachefile.FromUnix(updated), cachefile.FromUnix(probed)
	rest := words[5]
	for i, s := range []*string{&key, &v.Status.Text, &v.Reason} {
		if i > 0 {
			if rest, ok = strings.CutPrefix(rest, " "); !ok {
				return "", nil, false
			}
		}
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return "", nil, false
		}
		if *s, err = strconv.Unquote(quoted); err != nil {
			return "", nil, false
		}
		rest = rest[len(quoted):]
	}
	return key, e, rest == "" && v.State != mail.VerdictPending
}

// readFile reads the cache's file. One that is not there is empty.
func readFile(path string) (map[string]*entry, time.Time, error) {
	b, err := cachefile.Read(path)
	if b == nil {
		return nil, time.Time{}, err
	}
	return decode(b)
}
