package milter

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// The header of a message as a list of fields, which modifications are made in. Fields that
// came with the message stay where they are, in the staged content, and are only pointed
// at.

// field is one header field.
type field struct {
	name string // as it was written
	own  bool   // our Received field
	// A field of the content is text[at:at+size] of it; any other has text, CRLF included.
	stored   bool
	at, size int64
	text     []byte
}

// errManyFields: the header is more than we remember of one.
var errManyFields = errors.New("message header too big")

// fields reads a header. Behind it is the content's body, at is where that begins, and
// separated whether an empty line goes before it. keep has the texts kept in memory.
func readHeader(r *bufio.Reader, keep bool) (list []field, at int64, separated bool, err error) {
	var cost int
	begin, offset := true, int64(0) // at the beginning of a line, and where
	for {
		piece, readErr := r.ReadSlice('\n')
		if readErr != nil && readErr != bufio.ErrBufferFull && readErr != io.EOF {
			return nil, 0, false, readErr
		}
		if len(piece) == 0 {
			return list, offset, false, nil
		}
		if begin {
			switch name := fieldName(piece); {
			case string(piece) == "\r\n" || string(piece) == "\n":
				return list, offset + int64(len(piece)), true, nil
			case (piece[0] == ' ' || piece[0] == '\t') && len(list) > 0: // continues
			case name == "":
				return list, offset, false, nil
			default:
				if cost += len(name) + fieldPrice; cost > maxHeader {
					return nil, 0, false, errManyFields
				}
				list = append(list, field{name: name, stored: !keep, at: offset})
			}
		}
		f := &list[len(list)-1]
		f.size += int64(len(piece))
		if keep {
			f.text = append(f.text, piece...)
		}
		offset += int64(len(piece))
		begin = piece[len(piece)-1] == '\n'
		if readErr == io.EOF {
			return list, offset, false, nil
		}
	}
}

// fieldName is the name of the field that a line begins; "" when it begins none (RFC 5322
// section 2.2; white space before the colon as in section 4.5).
func fieldName(line []byte) string {
	i := 0
	for i < len(line) && line[i] > ' ' && line[i] < 0x7f && line[i] != ':' {
		i++
	}
	if i == 0 || !bytes.HasPrefix(bytes.TrimLeft(line[i:], " \t"), []byte(":")) {
		return ""
	}
	return string(line[:i])
}

// makeField makes a field of what a milter says; a line that does not begin with white
// space continues with a tab, as Postfix has it. ok is false for what is no field.
func makeField(name, space, value string) (f field, ok bool) {
	if name == "" || fieldName([]byte(name+":")) != name {
		return f, false
	}
	var b bytes.Buffer
	b.WriteString(name + ":" + space)
	for i, line := range strings.Split(value, "\n") {
		if i > 0 && !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") {
			b.WriteByte('\t')
		}
		// A CR that ends no line is read as an end of line by some.
		b.WriteString(strings.ReplaceAll(strings.TrimSuffix(line, "\r"), "\r", " "))
		b.WriteString("\r\n")
	}
	return field{name: name, text: b.Bytes(), size: int64(b.Len())}, true
}

// fieldValue is the value of a field as milters are shown it: without the name, lines
// parted by LF, no end of line behind it; the first space belongs to it only if the milter
// wants that.
func fieldValue(text []byte, name string, space bool) []byte {
	text = bytes.TrimLeft(text[len(name):], " \t")
	text = bytes.TrimPrefix(text, []byte(":"))
	if !space {
		text = bytes.TrimPrefix(text, []byte(" "))
	}
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	return bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), []byte{0}, []byte("?"))
}

// find is the place of the index-th field of a name, from 1; -1 when there is none. Our own
// Received field is not counted.
func find(list []field, name string, index uint32) int {
	for i := range list {
		if !list[i].own && strings.EqualFold(list[i].name, name) {
			if index--; index == 0 {
				return i
			}
		}
	}
	return -1
}
