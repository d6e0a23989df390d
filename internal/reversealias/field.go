package reversealias

import (
	"bufio"
	"io"
	netmail "net/mail"
	"strings"

	"aliasmx/internal/mail"
)

// Correspondent is whom an answer to a message goes to: the only address of Reply-To, or of
// From. It is not ok where there is none, or several, or where the header cannot be read. given
// tells that there is a Reply-To.
func Correspondent(message io.Reader) (a mail.Address, given, ok bool) {
	fields, err := readHeader(bufio.NewReaderSize(message, 32<<10))
	if err != nil {
		return mail.Address{}, false, false
	}
	for _, name := range [...]string{"reply-to", "from"} {
		n := 0
		var last field
		for _, f := range fields {
			if f.name == name {
				last = f
				n++
			}
		}
		if n == 0 {
			continue
		}
		given = name == "reply-to"
		list, err := netmail.ParseAddressList(last.value())
		if n > 1 || err != nil || len(list) != 1 {
			return mail.Address{}, given, false
		}
		a = mail.SplitAddress(list[0].Address)
		return a, given, a.Local != "" && a.Domain != "" && !strings.ContainsAny(a.Local+a.Domain, "\r\n\x00")
	}
	return mail.Address{}, false, false
}

// Field is the header field that tells the owner of an alias where to answer to.
func (c *Codec) Field(name string, r mail.Reply) ([]byte, error) {
	a, err := c.Make(r)
	if err != nil {
		return nil, err
	}
	return []byte(name + ": <" + a.String() + ">\r\n"), nil
}
