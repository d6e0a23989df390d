package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"

	"aliasmx/internal/maillog"
	"aliasmx/internal/table"
)

// Building and changing tables: postmap, postmap -i and postmap -d.

// make builds each table, or adds to it what comes on standard input.
func (j *postmapJob) make() error {
	for _, spec := range j.tables {
		progress, clear := j.progress(spec)
		o := j.build
		o.Progress = progress
		var err error
		if j.update {
			err = table.Update(spec, j.env.stdin, o)
		} else {
			err = table.Build(spec, o)
		}
		clear()
		if err != nil {
			return err
		}
	}
	return nil
}

// progress shows how far a large table is, on one line to somebody who watches, and on
// a line each with -v.
func (j *postmapJob) progress(spec string) (show func(entries int), clear func()) {
	text := func(entries int) string {
		return fmt.Sprintf("%s: %s: %d entries", j.name, maillog.Printable(spec), entries)
	}
	nothing := func() {}
	switch {
	case watched(j.env.stderr):
		return func(n int) { fmt.Fprint(j.env.stderr, "\r\x1b[K"+text(n)) },
			func() { fmt.Fprint(j.env.stderr, "\r\x1b[K") }
	case j.verbose:
		return func(n int) { fmt.Fprintln(j.env.stderr, text(n)) }, nothing
	}
	return nil, nothing
}

// watched tells whether somebody sees what is written.
func watched(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && f.Name() != os.DevNull && isTerminal(w)
}

func (j *postmapJob) delete() (found bool, err error) {
	keys := []string{j.remove}
	if j.remove == "-" {
		keys = nil
		if err := j.eachLine(func(key string) (bool, error) { keys = append(keys, key); return true, nil }); err != nil {
			return false, err
		}
	}
	for _, spec := range j.tables {
		n, err := table.Delete(spec, keys, j.build)
		if err != nil {
			return false, err
		}
		found = found || n > 0
	}
	return found, nil
}

// maxInputLine bounds a line of standard input.
const maxInputLine = 64 << 20

// eachLine calls f with each line of standard input, until it wants no more.
func (j *postmapJob) eachLine(f func(line string) (more bool, err error)) error {
	lines := bufio.NewScanner(j.env.stdin)
	lines.Buffer(nil, maxInputLine)
	lines.Split(splitAtNewline)
	for lines.Scan() {
		if more, err := f(lines.Text()); err != nil || !more {
			return err
		}
	}
	return lines.Err()
}

// splitAtNewline is bufio.ScanLines without its taking carriage returns off: they are
// part of the key.
func splitAtNewline(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}
