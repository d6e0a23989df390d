package smtpd

import (
	"errors"
	"strings"
)

// Texts with macros in them, as operators write them in default_rbl_reply, rbl_reply_maps
// and smtpd_reject_footer (postconf(5)): $name, ${name}, $(name), ${name?text if it is not
// empty}, ${name:text if it is}, ${name?{text}:{text}}, and $$ for a dollar.

var errMacro = errors.New("bad macro")

// expandMacros fills in a template. The values are made harmless, for they may be words
// of a client (postconf(5): smtpd_expansion_filter).
func expandMacros(template string, lookup func(name string) (value string, known bool)) (string, error) {
	var b strings.Builder
	err := expandInto(&b, template, lookup, 0)
	return b.String(), err
}

// maxNesting bounds macros within macros.
const maxNesting = 20

func expandInto(b *strings.Builder, s string, lookup func(string) (string, bool), depth int) error {
	if depth > maxNesting {
		return errMacro
	}
	for s != "" {
		i := strings.IndexByte(s, '$')
		if i < 0 {
			b.WriteString(s)
			return nil
		}
		b.WriteString(s[:i])
		s = s[i+1:]
		if s == "" {
			return errMacro
		}
		switch s[0] {
		case '$':
			b.WriteByte('$')
			s = s[1:]
		case '{', '(':
			inner, n := bracketed(s)
			if n == 0 {
				return errMacro
			}
			if err := expandOne(b, inner, lookup, depth); err != nil {
				return err
			}
			s = s[n:]
		default:
			n := len(s) - len(strings.TrimLeft(s, nameChars))
			if n == 0 {
				return errMacro
			}
			value, _ := lookup(s[:n])
			b.WriteString(filtered(value))
			s = s[n:]
		}
	}
	return nil
}

const nameChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

// expandOne is what stands between the braces of one macro.
func expandOne(b *strings.Builder, inner string, lookup func(string) (string, bool), depth int) error {
	n := len(inner) - len(strings.TrimLeft(inner, nameChars))
	name, rest := inner[:n], inner[n:]
	if name == "" {
		return errMacro
	}
	value, _ := lookup(name)
	if rest == "" {
		b.WriteString(filtered(value))
		return nil
	}
	yes, no := "", ""
	switch text := rest[1:]; rest[0] {
	case '?':
		yes = text
		if trimmed := strings.TrimLeft(text, " \t"); strings.HasPrefix(trimmed, "{") {
			body, n := bracketed(trimmed)
			if n == 0 {
				return errMacro
			}
			yes = strings.TrimSpace(body)
			after := strings.TrimSpace(trimmed[n:])
			if after != "" {
				if after[0] != ':' {
					return errMacro
				}
				if no = unbraced(after[1:]); no == "" && strings.TrimSpace(after[1:]) == "" {
					return errMacro
				}
			}
		}
	case ':':
		no = unbraced(text)
	default:
		return errMacro
	}
	if value != "" {
		return expandInto(b, yes, lookup, depth+1)
	}
	return expandInto(b, no, lookup, depth+1)
}

// unbraced takes the braces off a text that has them.
func unbraced(s string) string {
	if trimmed := strings.TrimSpace(s); strings.HasPrefix(trimmed, "{") {
		if body, n := bracketed(trimmed); n == len(trimmed) {
			return strings.TrimSpace(body)
		}
	}
	return s
}

// bracketed returns what stands in the brackets that s begins with, and the length of all
// of it; 0 when they are not closed.
func bracketed(s string) (inner string, n int) {
	left, right := s[0], byte('}')
	if left == '(' {
		right = ')'
	}
	level := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case left:
			level++
		case right:
			if level--; level == 0 {
				return s[1:i], i + 1
			}
		}
	}
	return "", 0
}

// filtered replaces what smtpd_expansion_filter does not have.
func filtered(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' && c != '\t' || c >= 0x7f {
			return '_'
		}
		return c
	}, s)
}

// macro is the value of a macro about the session (postconf(5): smtpd_reject_footer).
func (s *session) macro(name string) (string, bool) {
	switch name {
	case "server_name":
		return s.o.MyHostname, true
	case "client":
		return s.peer.String(), true
	case "client_address":
		return s.peer.Addr.String(), true
	case "client_name":
		return s.peer.Name, true
	case "client_port":
		return s.peer.port(), true
	case "reverse_client_name":
		return s.peer.Reverse, true
	case "helo_name":
		return s.helo, true
	case "localtime":
		return s.o.Now().Format("Jan 02 15:04:05"), true
	}
	if part, ok := strings.CutPrefix(name, "sender"); ok {
		return addressPart(s.tx.sender.Internal(), part, s.tx.active)
	}
	if part, ok := strings.CutPrefix(name, "recipient"); ok {
		return addressPart(s.judged.rcpt.Internal(), part, s.judged.hasRcpt)
	}
	s.warn(`unknown macro name "` + echo(name, maxEchoed) + `" in expansion request`)
	return "", false
}

// addressPart is an address, or its _name or _domain.
func addressPart(address, part string, there bool) (string, bool) {
	at := strings.LastIndexByte(address, '@')
	switch {
	case part != "" && part != "_name" && part != "_domain":
		return "", false
	case !there:
		return "", true
	case address == "" && part != "_domain":
		return "<>", true
	case part == "_name" && at >= 0:
		return address[:at], true
	case part == "_domain" && at < 0:
		return "", true
	case part == "_domain":
		return address[at+1:], true
	}
	return address, true
}
