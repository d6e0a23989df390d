package delivery

import (
	"bufio"
	"io"
	"net/textproto"
	"strings"

	"aliasmx/internal/mail"
)

// "TLS-Required: no" (RFC 8689 section 4): the sender would rather have a message arrive
// than kept from a host whose policy cannot be kept: a report about that very policy, for
// one. TLS is then used where it is to be had, and nobody is verified.

// asksForNoPolicy tells whether a message says so. Its header is read only where that makes
// a difference. What REQUIRETLS was asked for does not count: the envelope wins.
func (j *job) asksForNoPolicy() bool {
	if !j.set.TLSRequired || j.a.Body == nil || j.a.Env.Flags&mail.FlagRequireTLS != 0 {
		return false
	}
	if j.optional == nil {
		says := saysTLSRequiredNo(j.a.Body)
		j.optional = &says
	}
	return *j.optional
}

func saysTLSRequiredNo(body mail.Body) bool {
	r, err := body.Open()
	if err != nil {
		return false // sending it will fail
	}
	defer r.Close()
	h := textproto.NewReader(bufio.NewReader(io.LimitReader(r, headerSearched)))
	for {
		line, err := h.ReadLine()
		if line == "" {
			return false
		}
		name, value, found := strings.Cut(line, ":")
		if found && strings.EqualFold(strings.TrimRight(name, " \t"), "TLS-Required") && strings.EqualFold(strings.TrimSpace(value), "no") {
			return true
		}
		if err != nil {
			return false
		}
	}
}
