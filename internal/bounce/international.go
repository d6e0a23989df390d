package bounce

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"aliasmx/internal/mail"
)

// Addresses in UTF-8, RFC 6533. A report about a message that came by SMTPUTF8, or to a
// sender who can be reached no other way, goes by SMTPUTF8 itself and has them as they
// are (utf-8-addr-unitext, message/global-delivery-status). In any other,
// message/delivery-status is ASCII, and they are written as utf-8-addr-xtext.

// typed is an address as a field of the delivery report has it, with its type.
func typed(a mail.Address, global bool) (kind, text string) {
	text = mask(a.String())
	if isASCII(text) {
		return "rfc822", text
	}
	if !utf8.ValidString(a.Local) || !utf8.ValidString(a.Domain) {
		return "rfc822", ascii(text)
	}
	if global {
		return "utf-8", text
	}
	return "utf-8", addrXtext(text)
}

// originalRecipient is the value of Original-Recipient: what the sender said in ORCPT, or
// else the address that the message came for, as it is added when mail is passed on.
func originalRecipient(rcpt *mail.Recipient, global bool) string {
	orcpt := mask(rcpt.ORcpt)
	if orcpt == "" {
		if rcpt.Orig.IsNull() {
			return ""
		}
		kind, text := typed(rcpt.Orig, global)
		return kind + "; " + text
	}
	kind, addr, ok := strings.Cut(orcpt, ";")
	if !ok {
		kind, addr = "rfc822", orcpt
	}
	if isASCII(orcpt) {
		return kind + ";" + addr
	}
	if strings.EqualFold(kind, "rfc822") {
		kind = "utf-8" // it was made of an address, and by nobody who knew
	}
	if !global && strings.EqualFold(kind, "utf-8") {
		addr = addrXtext(addr)
	}
	return kind + ";" + addr
}

// addrXtext encodes an address as utf-8-addr-xtext, RFC 6533 section 3.
func addrXtext(s string) string {
	var b strings.Builder
	for _, c := range s {
		if c <= ' ' || c >= 0x7f || c == '+' || c == '=' || c == '\\' {
			fmt.Fprintf(&b, `\x{%02X}`, c)
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}

// ascii writes what is not ASCII as addrXtext does, and leaves all else: for words among
// fields that are ASCII.
func ascii(s string) string {
	if isASCII(s) {
		return s
	}
	var b strings.Builder
	for _, c := range s {
		if c >= utf8.RuneSelf {
			fmt.Fprintf(&b, `\x{%X}`, c)
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
