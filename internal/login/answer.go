package login

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// What Dovecot's auth service says, a line at a time.

// handshake is what a connection begins with.
type handshake struct {
	mechanisms []Mechanism
	done       bool
}

// take takes one line of the handshake.
func (h *handshake) take(line string) error {
	f := strings.Split(line, "\t")
	switch f[0] {
	case "VERSION":
		if len(f) < 3 || f[1] != "1" {
			return fmt.Errorf("Protocol version mismatch (%s vs. 1)", printable(strings.Join(f[1:], ".")))
		}
	case "MECH":
		if len(f) < 2 || !isMechanism(f[1]) {
			return nil
		}
		m := Mechanism{Name: f[1]}
		for _, word := range f[2:] {
			m.Properties |= propertyOf(word)
		}
		const most = 50
		if m.Properties&private == 0 && len(h.mechanisms) < most {
			h.mechanisms = append(h.mechanisms, m)
		}
	case "SPID":
		// The sockets auth-userdb and auth-master end their greeting here.
		if h.mechanisms == nil {
			return errors.New("Connected to wrong auth socket (auth-master instead of auth-client)")
		}
	case "DONE":
		h.done = true
	}
	return nil
}

// isMechanism tells whether a word can be the name of a mechanism (RFC 4422 section 3.1).
func isMechanism(s string) bool {
	return s != "" && len(s) <= 20 && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_'
	})
}

// answer is the answer to a request.
type answer struct {
	kind      string // OK, CONT, FAIL
	id        uint32
	challenge string // of CONT, in base64
	user      string
	reason    string
	temporary bool
}

// parseAnswer reads a line. It is false for one that is no answer.
func parseAnswer(line string) (answer, bool) {
	f := strings.Split(line, "\t")
	r := answer{kind: f[0]}
	if len(f) < 2 || r.kind != "OK" && r.kind != "CONT" && r.kind != "FAIL" {
		return answer{}, false
	}
	id, err := strconv.ParseUint(f[1], 10, 32)
	if err != nil {
		return answer{}, false
	}
	r.id = uint32(id)
	if r.kind == "CONT" {
		if len(f) > 2 {
			r.challenge = f[2]
		}
		return r, true
	}
	for _, field := range f[2:] {
		name, value, _ := strings.Cut(field, "=")
		switch value = unescape(value); name {
		case "user":
			r.user = value
		case "reason":
			r.reason = value
		case "temp":
			r.temporary = r.kind == "FAIL"
		case "code":
			r.temporary = r.temporary || r.kind == "FAIL" && value == "temp_fail"
		}
	}
	return r, true
}

// unescape undoes how Dovecot writes the characters that mean something to it: 0x01 and
// one more.
func unescape(s string) string {
	if strings.IndexByte(s, 1) < 0 {
		return s
	}
	return strings.NewReplacer("\x010", "\x00", "\x011", "\x01", "\x01t", "\t", "\x01r", "\r", "\x01n", "\n").Replace(s)
}
