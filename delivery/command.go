package delivery

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"aliasmx/internal/mail"
)

// MAIL and RCPT with the parameters that the server offers and the message has, in the
// order in which Postfix writes them.

// appendMail builds MAIL FROM. Size is that of all that is sent.
func (s *session) appendMail(b []byte, env *mail.Envelope, sender mail.Address, size int64) []byte {
	b = append(b, "MAIL FROM:<"...)
	b = sender.AppendTo(b)
	b = append(b, '>')
	if s.offers(extSize) {
		b = append(b, " SIZE="...)
		b = strconv.AppendInt(b, size, 10)
	}
	if s.offers(ext8BitMIME) {
		switch {
		case env.Flags&mail.FlagBody8BitMIME != 0:
			b = append(b, " BODY=8BITMIME"...)
		case env.Flags&mail.FlagBody7Bit != 0:
			b = append(b, " BODY=7BIT"...)
		}
	}
	if s.offers(extDSN) {
		if env.EnvID != "" {
			b = append(b, " ENVID="...)
			b = appendXtext(b, env.EnvID)
		}
		if env.Ret == "FULL" || env.Ret == "HDRS" {
			b = append(b, " RET="...)
			b = append(b, env.Ret...)
		}
	}
	if s.offers(extSMTPUTF8) && env.Flags&mail.FlagSMTPUTF8 != 0 {
		b = append(b, " SMTPUTF8"...)
	}
	if s.auth.loggedIn && s.set.SASL.DummyMailAuth {
		b = append(b, " AUTH=<>"...) // RFC 4954 section 5: we do not vouch for the sender
	}
	if s.overTLS && s.offers(extRequireTLS) && env.Flags&mail.FlagRequireTLS != 0 {
		b = append(b, " REQUIRETLS"...)
	}
	return append(b, "\r\n"...)
}

// appendRcpt builds RCPT TO for an address that stands for a recipient.
func (s *session) appendRcpt(b []byte, env *mail.Envelope, r *mail.Recipient, to mail.Address) []byte {
	b = append(b, "RCPT TO:<"...)
	b = to.AppendTo(b)
	b = append(b, '>')
	if s.offers(extDSN) {
		b = s.appendORcpt(b, env, r)
		b = appendNotify(b, r.Notify)
	}
	return append(b, "\r\n"...)
}

// appendORcpt adds ORCPT: what the client gave, or else the address as it was given, so
// that a report from further on names an address the sender knows.
func (s *session) appendORcpt(b []byte, env *mail.Envelope, r *mail.Recipient) []byte {
	kind, addr, ok := strings.Cut(r.ORcpt, ";")
	if !ok {
		if r.Orig.IsNull() {
			return b
		}
		b = append(b, " ORCPT=rfc822;"...)
		var plain [128]byte
		return appendXtext(b, r.Orig.AppendTo(plain[:0]))
	}
	b = append(b, " ORCPT="...)
	b = appendXtext(b, kind)
	b = append(b, ';')
	if strings.EqualFold(kind, "utf-8") {
		return appendUTF8Addr(b, addr, s.offers(extSMTPUTF8) && env.Flags&mail.FlagSMTPUTF8 != 0)
	}
	return appendXtext(b, addr)
}

// appendNotify adds NOTIFY. Success that is told of by a report "expanded" of our own is
// not asked for again: what is left of NOTIFY=SUCCESS is then NEVER (RFC 3461 section
// 5.2.7.3).
func appendNotify(b []byte, n mail.Notify) []byte {
	if n == 0 {
		return b
	}
	if n&mail.NotifyExpanded != 0 {
		n &^= mail.NotifyExpanded | mail.NotifySuccess
	}
	b = append(b, " NOTIFY="...)
	if n == 0 || n&mail.NotifyNever != 0 {
		return append(b, "NEVER"...)
	}
	for _, k := range [...]struct {
		bit  mail.Notify
		word string
	}{{mail.NotifySuccess, "SUCCESS"}, {mail.NotifyFailure, "FAILURE"}, {mail.NotifyDelay, "DELAY"}} {
		if n&k.bit != 0 {
			if b[len(b)-1] != '=' {
				b = append(b, ',')
			}
			b = append(b, k.word...)
		}
	}
	return b
}

const hexDigits = "0123456789ABCDEF"

// appendXtext encodes text as xtext: RFC 3461 section 4.
func appendXtext[T string | []byte](b []byte, text T) []byte {
	for i := 0; i < len(text); i++ {
		if c := text[i]; c > ' ' && c < 0x7f && c != '+' && c != '=' {
			b = append(b, c)
		} else {
			b = append(b, '+', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return b
}

// appendUTF8Addr encodes an address of type utf-8: with SMTPUTF8 as it is, else as
// utf-8-addr-xtext (RFC 6533 section 3).
func appendUTF8Addr(b []byte, addr string, unicode bool) []byte {
	for _, c := range addr {
		switch {
		case c > ' ' && c < 0x7f && c != '+' && c != '=' && c != '\\':
			b = append(b, byte(c))
		case c >= utf8.RuneSelf && c != utf8.RuneError && unicode:
			b = utf8.AppendRune(b, c)
		default:
			b = append(b, `\x{`...)
			if c < 16 {
				b = append(b, '0')
			}
			b = append(b, strings.ToUpper(strconv.FormatInt(int64(c), 16))...)
			b = append(b, '}')
		}
	}
	return b
}

// sendable tells whether an address can stand in a command without becoming something
// else: a table may hold anything.
func sendable(a mail.Address) bool {
	for i := 0; i < len(a.Local); i++ {
		if a.Local[i] < ' ' || a.Local[i] == 0x7f {
			return false
		}
	}
	for i := 0; i < len(a.Domain); i++ {
		if c := a.Domain[i]; c <= ' ' || c == 0x7f || c == '<' || c == '>' {
			return false
		}
	}
	return true
}

func isASCII[T string | []byte](s T) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
