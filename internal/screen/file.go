package screen

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The file that the allow list is kept in: a line each for the head (with the time of the
// last cleanup), for each client with a stamp for each test, and for the end (with their
// number and a CRC of all before).
//
//	aliasmx postscreen_cache 1 1764000000
//	192.0.2.1 1764086400;1764003600;1;1;1
//	end 1 00000000
//
// It is read at start and written whole; a file that is not as it was written is as good
// as none.

const fileHead = "aliasmx postscreen_cache 1 "

var errDamaged = errors.New("not as it was written")

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
	b := make([]byte, 0, 100+64*len(lines))
	secs := int64(0)
	if !cleaned.IsZero() {
		secs = cleaned.Unix()
	}
	b = fmt.Appendf(b, "%s%d\n", fileHead, secs)
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
	return fmt.Appendf(b, "end %d %08x\n", len(lines), crc32.ChecksumIEEE(b))
}

// decode reads what encode wrote. Any error is errDamaged.
func decode(b []byte) (lines []fileLine, cleaned time.Time, err error) {
	at := bytes.LastIndex(b, []byte("\nend ")) + 1
	if at == 0 {
		return nil, time.Time{}, errDamaged
	}
	head, rest, _ := strings.Cut(string(b[:at]), "\n")
	seen := map[netip.Addr]bool{}
	for text := range strings.Lines(rest) {
		line, ok := decodeLine(strings.TrimSuffix(text, "\n"))
		if !ok || seen[line.addr] {
			return nil, time.Time{}, errDamaged
		}
		seen[line.addr] = true
		lines = append(lines, line)
	}
	stamp, ok := strings.CutPrefix(head, fileHead)
	secs, err := strconv.ParseInt(stamp, 10, 64)
	if !ok || err != nil || string(b[at:]) != fmt.Sprintf("end %d %08x\n", len(lines), crc32.ChecksumIEEE(b[:at])) {
		return nil, time.Time{}, errDamaged
	}
	if secs != 0 {
		cleaned = time.Unix(secs, 0)
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
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, time.Time{}, nil
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	return decode(b)
}

// writeFile replaces the list's file, whole or not at all.
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
