// Package cachefile keeps a cache of ours in a file: what is known of addresses, or which
// clients have passed the tests at the door. It is read at start and written whole.
//
// A file has a line for the head (with the time of the last cleanup), lines of the cache's
// own, and a line for the end (with their number and a CRC32 of all before):
//
//	aliasmx postscreen_cache 1 1764000000
//	192.0.2.1 1764086400;1764003600;1;1;1
//	end 1 00000000
//
// Invariants. A file is replaced whole or not at all, and one that is not as it was written
// is as good as none: a cache never keeps anybody from starting. What the lines mean is
// their cache's business.
package cachefile

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
)

// ErrDamaged: a file is not as it was written.
var ErrDamaged = errors.New("not as it was written")

// Encode makes the content of a file. Kind names the cache and the version of its lines
// ("postscreen_cache 1"); lines are n lines with their LF.
func Encode(kind string, cleaned time.Time, n int, lines []byte) []byte {
	b := make([]byte, 0, 100+len(lines))
	b = fmt.Appendf(b, "aliasmx %s %d\n", kind, Unix(cleaned))
	b = append(b, lines...)
	return fmt.Appendf(b, "end %d %08x\n", n, crc32.ChecksumIEEE(b))
}

// Decode reads what Encode made, and has take read each line, without its LF: false for
// one that is none. Its only error is ErrDamaged.
func Decode(kind string, b []byte, take func(line string) bool) (cleaned time.Time, err error) {
	at := bytes.LastIndex(b, []byte("\nend ")) + 1
	if at == 0 {
		return time.Time{}, ErrDamaged
	}
	head, lines, _ := strings.Cut(string(b[:at]), "\n")
	stamp, ok := strings.CutPrefix(head, "aliasmx "+kind+" ")
	secs, err := strconv.ParseInt(stamp, 10, 64)
	end := fmt.Sprintf("end %d %08x\n", strings.Count(lines, "\n"), crc32.ChecksumIEEE(b[:at]))
	if !ok || err != nil || string(b[at:]) != end {
		return time.Time{}, ErrDamaged
	}
	for line := range strings.Lines(lines) {
		if !take(strings.TrimSuffix(line, "\n")) {
			return time.Time{}, ErrDamaged
		}
	}
	return FromUnix(secs), nil
}

// Unix is a time in seconds since 1970; 0 stands for none.
func Unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// FromUnix is the time that Unix gave.
func FromUnix(secs int64) time.Time {
	if secs == 0 {
		return time.Time{}
	}
	return time.Unix(secs, 0)
}

// Read reads a file; nil when there is none.
func Read(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// Write replaces a file, whole or not at all. The directory is made if it is not there.
func Write(path string, content []byte) (err error) {
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
