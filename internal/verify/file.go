package verify

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"aliasmx/internal/mail"
)

// The file that the cache is kept in: a line each for the head (with the time of the last
// cleanup), for each address, and for the end (with their number and a CRC of all before).
//
//	aliasmx verify_cache 1 1764000000
//	250 2.1.5 deliverable 1764000000 0 "a@virt.example" "250 2.1.5 Ok" "250 2.1.5 Ok"
//	end 1 00000000
//
// It is read at start and written whole; a file that is not as it was written is as good
// as none.

const fileHead = "aliasmx verify_cache 1 "

// maxReason bounds what is remembered of a server's reply. smtpd shows 250 bytes of it.
const maxReason = 500

var errDamaged = errors.New("not as it was written")

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
	b := fmt.Appendf(nil, "%s%d\n", fileHead, unix(cleaned))
	for i := range lines {
		key, e := lines[i].key, &lines[i].entry
		v := &e.verdict
		b = fmt.Appendf(b, "%d %s %s %d %d ", v.Status.Code, v.Status.Enhanced, stateNames[v.State], unix(e.updated), unix(e.probed))
		b = strconv.AppendQuoteToASCII(b, key)
		b = strconv.AppendQuoteToASCII(append(b, ' '), v.Status.Text)
		b = strconv.AppendQuoteToASCII(append(b, ' '), v.Reason)
		b = append(b, '\n')
	}
	return fmt.Appendf(b, "end %d %08x\n", len(lines), crc32.ChecksumIEEE(b))
}

// decode reads what encode wrote. Any error is errDamaged.
func decode(b []byte) (entries map[string]*entry, cleaned time.Time, err error) {
	bad := func() (map[string]*entry, time.Time, error) { return nil, time.Time{}, errDamaged }
	at := bytes.LastIndex(b, []byte("\nend ")) + 1
	if at == 0 {
		return bad()
	}
	head, lines, _ := strings.Cut(string(b[:at]), "\n")
	entries = map[string]*entry{}
	for line := range strings.Lines(lines) {
		key, e, ok := decodeEntry(strings.TrimSuffix(line, "\n"))
		if !ok || entries[key] != nil {
			return bad()
		}
		entries[key] = e
	}
	if string(b[at:]) != fmt.Sprintf("end %d %08x\n", len(entries), crc32.ChecksumIEEE(b[:at])) {
		return bad()
	}
	stamp, ok := strings.CutPrefix(head, fileHead)
	secs, err := strconv.ParseInt(stamp, 10, 64)
	if !ok || err != nil {
		return bad()
	}
	return entries, fromUnix(secs), nil
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
	e.updated, e.probed = fromUnix(updated), fromUnix(probed)
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

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func fromUnix(secs int64) time.Time {
	if secs == 0 {
		return time.Time{}
	}
	return time.Unix(secs, 0)
}

// readFile reads the cache's file. One that is not there is empty.
func readFile(path string) (map[string]*entry, time.Time, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, time.Time{}, nil
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	return decode(b)
}

// writeFile replaces the cache's file, whole or not at all.
func writeFile(path string, content []byte) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(content); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
