package mailauth

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"

	"golang.org/x/net/idna"

	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth/dmarc"
)

// maxHeader bounds the header that is looked at. What has a longer one has no author that
// anybody could know.
const maxHeader = 1 << 20

var errHeaderTooLong = errors.New("the header is too long")

// readHeader reads the header of a message, with its line ends.
func readHeader(body mail.Body) ([]byte, error) {
	if text, ok := body.(inMemory); ok {
		return text.header(), nil
	}
	r, err := body.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	in := bufio.NewReader(io.LimitReader(r, maxHeader+1))
	var h []byte
	for begins := true; ; {
		line, err := in.ReadSlice('\n')
		if begins && endsHeader(line) {
			return h, nilIfEOF(err)
		}
		h = append(h, line...)
		if len(h) > maxHeader {
			return nil, errHeaderTooLong
		}
		switch begins = err == nil; {
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return h, nilIfEOF(err)
		}
	}
}

// endsHeader tells whether a line is empty. A carriage return more makes it one of the header to
// many readers.
func endsHeader(line []byte) bool {
	return len(line) == 0 || string(line) == "\n" || string(line) == "\r\n"
}

// AuthorOf is the author of a message as it leaves, "" where there is none, or several. An error
// is one of reading.
func AuthorOf(prepend []byte, body mail.Body) (string, error) {
	header, err := readHeader(body)
	switch {
	case errors.Is(err, errHeaderTooLong):
		return "", nil
	case err != nil:
		return "", err
	}
	domains, none := authors(slices.Concat(prepend, header))
	if none != "" {
		return "", nil
	}
	return domains[0], nil
}

func nilIfEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func hasField(header []byte, name string) bool { return countFields(header, name) > 0 }

// countFields is how many fields of a name a header has.
func countFields(header []byte, name string) (n int) {
	for line := range bytes.Lines(header) {
		if len(line) <= len(name) || !strings.EqualFold(string(line[:len(name)]), name) {
			continue
		}
		if rest := bytes.TrimLeft(line[len(name):], " \t"); len(rest) > 0 && rest[0] == ':' {
			n++
		}
	}
	return n
}

// authors are the domains of the From fields, and why there is no single one.
func authors(header []byte) ([]string, string) {
	domains, err := dmarc.AuthorDomains(header)
	switch {
	case countFields(header, "From") > 1: // RFC 5322 section 3.6: readers differ in which they show
		return domains, "several From fields"
	case err != nil:
		return domains, err.Error()
	case len(domains) == 0:
		return nil, "no From field"
	case len(domains) > 1:
		return domains, "several authors' domains"
	}
	return domains, ""
}

// namesNobody tells whether a header has at most one From field, in which nobody could find a
// domain.
func namesNobody(header []byte) bool {
	if countFields(header, "From") > 1 {
		return false
	}
	in := false
	for line := range bytes.Lines(header) {
		if line[0] != ' ' && line[0] != '\t' {
			in = hasField(line, "From")
		}
		if in && (bytes.IndexByte(line, '@') >= 0 || bytes.Contains(line, []byte("=?")) || bytes.ContainsAny(bytes.TrimRight(line, "\r\n"), "\r\x00")) {
			return false
		}
	}
	return true
}

// asciiDomain is a domain as an A-label in lower case, without a dot at the end; as it is
// where that cannot be.
func asciiDomain(domain string) string {
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	for i := 0; i < len(domain); i++ {
		if domain[i] >= 0x80 {
			if a, err := idna.Lookup.ToASCII(domain); err == nil {
				return strings.ToLower(a)
			}
			break
		}
	}
	return domain
}
