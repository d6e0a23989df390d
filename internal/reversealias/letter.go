package reversealias

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	netmail "net/mail"
	"slices"
	"strings"

	"golang.org/x/net/idna"

	"aliasmx/internal/mail"
)

// What the correspondent gets: a header made anew, and the body as it came.

// MaxHeader is how long the header of a letter may be, in bytes.
const MaxHeader = 256 << 10

// kept are the fields that go on as they are. What is not named here may name the owner.
var kept = map[string]bool{
	"date": true, "subject": true, "mime-version": true, "auto-submitted": true,
	"content-type": true, "content-transfer-encoding": true, "content-disposition": true,
	"content-language": true, "content-id": true, "importance": true, "priority": true,
}

// letter is one while it is made anew.
type letter struct{ mail.ReplyLetter }

// The errors of Rewrite: a letter that cannot go on.
var (
	ErrHeader = errors.New("the header is too long, or none")
	ErrAuthor = errors.New("the From field does not name the owner alone")
)

// Rewrite writes to dst what the correspondent gets of a message: From is the alias, To the
// correspondent, the Message-ID a new one. It fails unless the owner, who has sent it, is also
// its only author (From). Errors beside those above are of reading and writing.
func (c *Codec) Rewrite(dst io.Writer, message io.Reader, sent mail.ReplyLetter) error {
	l := &letter{sent}
	r := bufio.NewReaderSize(message, 32<<10)
	fields, err := readHeader(r)
	if err != nil {
		return err
	}
	if !l.isAuthor(fields) {
		return ErrAuthor
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\n", l.Alias, l.Correspondent)
	fmt.Fprintf(&b, "Message-ID: <%s@%s>\r\n", l.ID, l.Alias.Domain)
	dated := false
	for _, f := range fields {
		switch {
		case kept[f.name]:
			dated = dated || f.name == "date"
			b.Write(f.raw)
		case f.name == "in-reply-to" || f.name == "references":
			if ids := l.foreignIDs(f.value()); ids != "" {
				b.Write(f.raw[:bytes.IndexByte(f.raw, ':')])
				b.WriteString(": " + ids + "\r\n")
			}
		}
	}
	if !dated {
		b.WriteString("Date: " + l.Now.Format("Mon, 2 Jan 2006 15:04:05 -0700") + "\r\n")
	}
	b.WriteString("\r\n")
	if _, err := dst.Write(b.Bytes()); err != nil {
		return err
	}
	_, err = io.Copy(dst, r)
	return err
}

// isAuthor tells whether one From field names the owner, and nobody else.
func (l *letter) isAuthor(fields []field) bool {
	n := 0
	var last field
	for _, f := range fields {
		if f.name == "from" {
			last = f
			n++
		}
	}
	if n != 1 {
		return false
	}
	list, err := netmail.ParseAddressList(last.value())
	return err == nil && len(list) == 1 && strings.EqualFold(mail.SplitAddress(list[0].Address).Internal(), l.Owner.Internal())
}

// maxIDs is how much of a field with message IDs goes on, in bytes: the newest are kept.
const maxIDs = 8 << 10

// foreignIDs are the message IDs of a field but for those that name the owner's domain.
func (l *letter) foreignIDs(value string) string {
	ids := messageIDs(value)
	size := 0
	for i := len(ids) - 1; i >= 0; i-- {
		if size += len(ids[i]) + len("\r\n "); size > maxIDs {
			ids = ids[i+1:]
			break
		}
	}
	ids = slices.DeleteFunc(ids, l.namesOwner)
	return strings.Join(ids, "\r\n ")
}

// namesOwner tells whether a message ID names the owner's domain, or is written so that nobody
// can tell: with blanks, comments or quotes, as of old.
func (l *letter) namesOwner(id string) bool {
	if strings.ContainsAny(id, " \t()\"\\[]") {
		return true
	}
	at := strings.LastIndexByte(id, '@')
	if at < 0 {
		return true
	}
	owner, domain := asciiDomain(l.Owner.Domain), strings.Trim(id[at+1:len(id)-1], ".")
	return sameOrBelow(asciiDomain(domain), owner) || strings.Contains(asciiDomain(id[1:at]), owner)
}

// messageIDs are what stands in angle brackets, outside of comments. Nothing else of a field
// goes on.
func messageIDs(value string) (ids []string) {
	depth, begun, quoted := 0, -1, false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\' && (quoted || depth > 0):
			i++
		case c == '"' && depth == 0:
			quoted = !quoted
		case quoted:
		case c == '(' && begun < 0:
			depth++
		case c == ')' && begun < 0 && depth > 0:
			depth--
		case depth > 0:
		case c == '<':
			begun = i
		case c == '>' && begun >= 0:
			ids = append(ids, value[begun:i+1])
			begun = -1
		}
	}
	return ids
}

// asciiDomain is a domain as an A-label in lower case, as far as it is a name.
func asciiDomain(domain string) string {
	if a, err := idna.Lookup.ToASCII(domain); err == nil {
		domain = a
	}
	return strings.ToLower(domain)
}

func sameOrBelow(name, domain string) bool {
	name, domain = strings.ToLower(name), strings.ToLower(domain)
	return name == domain || strings.HasSuffix(name, "."+domain)
}

// field is one of a header: its bytes with line ends, and its name in lower case.
type field struct {
	name string
	raw  []byte
}

// value is what stands behind the colon, in one line.
func (f *field) value() string {
	return strings.TrimSpace(strings.NewReplacer("\r\n", "", "\n", "", "\x00", "").Replace(string(f.raw[bytes.IndexByte(f.raw, ':')+1:])))
}

// readHeader takes the header off a message, with the empty line.
func readHeader(r *bufio.Reader) (fields []field, err error) {
	for size := 0; ; {
		line, err := readLine(r, MaxHeader-size)
		if size += len(line); err != nil {
			if err == io.EOF && len(fields) > 0 && len(line) == 0 {
				return fields, nil
			}
			return nil, ErrHeader
		}
		switch {
		case len(bytes.TrimRight(line, "\r\n")) == 0:
			return fields, nil
		case line[0] == ' ' || line[0] == '\t':
			if len(fields) == 0 {
				return nil, ErrHeader
			}
			last := &fields[len(fields)-1]
			last.raw = append(last.raw, line...)
		default:
			name, _, ok := bytes.Cut(line, []byte(":"))
			if !ok {
				return nil, ErrHeader
			}
			fields = append(fields, field{name: strings.ToLower(strings.TrimSpace(string(name))), raw: line})
		}
	}
}

// readLine is a line of at most limit bytes.
func readLine(r *bufio.Reader, limit int) (line []byte, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if line = append(line, part...); len(line) > limit {
			return nil, ErrHeader
		}
		if err != bufio.ErrBufferFull {
			return line, err
		}
	}
}

// Unfit tells whether an error of Rewrite is one of the message, and not of reading or
// writing it.
func (c *Codec) Unfit(err error) bool { return errors.Is(err, ErrHeader) || errors.Is(err, ErrAuthor) }

// Author is the author of what Rewrite writes, as mail.Authentic has it.
func (c *Codec) Author(r mail.Reply) string { return asciiDomain(r.Alias.Domain) }
