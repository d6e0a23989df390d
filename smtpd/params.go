package smtpd

import (
	"math"
	"strings"

	"aliasmx/internal/mail"
)

// ESMTP parameters of MAIL and RCPT (RFC 5321 section 4.1.2).

// param is one parameter as it was written.
type param struct {
	text  string
	value string // what follows the first =
}

// is tells whether it is the parameter of this name. A name that ends in = has a value,
// one that does not has none.
func (p param) is(name string) bool {
	key := len(p.text) - len(p.value)
	return strings.EqualFold(p.text[:key], name)
}

// params splits what follows a path.
func params(s string) []param {
	if s == "" {
		return nil
	}
	var list []param
	for text := range strings.FieldsFuncSeq(s, func(c rune) bool { return c == ' ' || c == '\t' }) {
		p := param{text: text}
		if i := strings.IndexByte(text, '='); i >= 0 {
			p.value = text[i+1:]
		}
		list = append(list, p)
	}
	return list
}

// cutKeyword takes "FROM:" or "TO:" off, in any case. Something has to follow.
func cutKeyword(arg, keyword string) (string, bool) {
	if len(arg) <= len(keyword) || !strings.EqualFold(arg[:len(keyword)], keyword) {
		return "", false
	}
	arg = strings.TrimLeft(arg[len(keyword):], " \t")
	return arg, arg != ""
}

// parseSize reads the value of SIZE. A number too large for any file is -1.
func parseSize(s string) (int64, bool) {
	if s == "" {
		return 0, false
	}
	var n int64
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		digit := int64(c - '0')
		if n < 0 || n > (math.MaxInt64-digit)/10 {
			n = -1
			continue
		}
		n = n*10 + digit
	}
	return n, true
}

func badParam(text string) *reply {
	r := say(501, mail.Code(5, 5, 4), text)
	return &r
}

func dsnDisabled() *reply {
	r := say(501, mail.Code(5, 7, 1), "DSN support is disabled")
	return &r
}

func unsupported(p param) *reply {
	r := say(555, mail.Code(5, 5, 4), "Unsupported option: "+echo(p.text, maxEchoed))
	return &r
}
