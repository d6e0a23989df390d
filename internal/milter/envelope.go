package milter

import (
	"strconv"
	"strings"

	"aliasmx/internal/mail"
)

// Modifications of the envelope. What cannot be understood is warned of and ignored, as
// cleanup(8) does.

// address reads an address of a milter's: in external form, with angle brackets or without.
// Of a list the first one is taken. ok is false for the null address and for what is none.
func (e *editor) address(s, what string) (a mail.Address, ok bool) {
	path, rest, err := mail.ParsePath(s, false)
	if err != nil || strings.TrimSpace(rest) != "" {
		first, _, list := strings.Cut(s, ",")
		if !list {
			return a, false
		}
		if path, rest, err = mail.ParsePath(first, false); err != nil || rest != "" {
			return a, false
		}
		e.m.Log.Warn(e.m.ID.String() + ": Milter " + what + `: "` + printable(s) + `"`)
	}
	return path.Address, !path.IsNull()
}

// changeFrom takes a new reverse-path. Of its parameters RET and ENVID can be had.
func (e *editor) changeFrom(from, args string) {
	c := mail.EnvelopeChange{Kind: mail.ChangeSender}
	for arg := range strings.FieldsSeq(args) {
		name, value, _ := strings.Cut(arg, "=")
		ok := false
		switch strings.ToUpper(name) {
		case "RET":
			if ret := strings.ToUpper(value); ret == "FULL" || ret == "HDRS" {
				c.Ret, ok = ret, true
			}
		case "ENVID":
			if id, decoded := decodeXtext(value); decoded && id != "" && isPrintable(id) {
				c.EnvID, ok = id, true
			}
		}
		if !ok {
			e.m.Log.Warn(`Ignoring bad ESMTP parameter "` + printable(arg) + `" in SMFI_CHGFROM request`)
		}
	}
	var ok bool
	if c.Addr, ok = e.address(from, "request to add multi-sender"); !ok && !isNullPath(from) {
		// A sender that nobody can read must not become none: reports would go nowhere.
		if word, _, more := strings.Cut(strings.TrimSpace(from), " "); more {
			c.Addr, ok = e.address(word, "request to add multi-sender")
		}
		if !ok {
			e.m.Log.Warn(e.m.ID.String() + `: Ignoring bad address "` + printable(from) + `" in SMFI_CHGFROM request`)
			return
		}
	}
	e.m.Changes = append(e.m.Changes, c)
}

func isNullPath(s string) bool {
	s = strings.TrimSpace(s)
	return s == "" || s == "<>"
}

// addRcpt takes a further recipient, with NOTIFY and ORCPT.
func (e *editor) addRcpt(to, args string) {
	c := mail.EnvelopeChange{Kind: mail.AddRecipient}
	id := e.m.ID.String()
	for arg := range strings.FieldsSeq(args) {
		name, value, _ := strings.Cut(arg, "=")
		switch strings.ToUpper(name) {
		case "NOTIFY":
			notify, ok := parseNotify(value)
			if !ok || c.Notify != 0 {
				e.m.Log.Warn(id + `: Bad NOTIFY parameter from Milter or header/body_checks: "` + printable(arg) + `"`)
				continue
			}
			c.Notify = notify
		case "ORCPT":
			kind, rest, ok := strings.Cut(value, ";")
			address, decoded := decodeXtext(rest)
			if !ok || kind == "" || !decoded || !isPrintable(address) || c.ORcpt != "" {
				e.m.Log.Warn(id + `: Bad ORCPT parameter from Milter or header/body_checks: "` + printable(arg) + `"`)
				continue
			}
			c.ORcpt = kind + ";" + address
		default:
			e.m.Log.Warn(id + `: ignoring ESMTP argument from Milter or header/body_checks: "` + printable(arg) + `"`)
		}
	}
	var ok bool
	if c.Addr, ok = e.address(to, "or header/body_checks request to add multi-recipient"); !ok {
		e.m.Log.Warn(id + ": ignoring attempt from Milter to add null recipient")
		return
	}
	e.m.Changes = append(e.m.Changes, c)
}

func (e *editor) delRcpt(to string) {
	if a, ok := e.address(to, "request to drop multi-recipient"); ok {
		e.m.Changes = append(e.m.Changes, mail.EnvelopeChange{Kind: mail.DeleteRecipient, Addr: a})
	}
}

// parseNotify reads a value of NOTIFY (RFC 3461 section 4.1).
func parseNotify(s string) (n mail.Notify, ok bool) {
	words := map[string]mail.Notify{"NEVER": mail.NotifyNever, "SUCCESS": mail.NotifySuccess, "FAILURE": mail.NotifyFailure, "DELAY": mail.NotifyDelay}
	for word := range strings.SplitSeq(strings.ToUpper(s), ",") {
		bit, known := words[word]
		if !known {
			return 0, false
		}
		n |= bit
	}
	return n, n&mail.NotifyNever == 0 || n == mail.NotifyNever
}

// decodeXtext undoes xtext (RFC 3461 section 4).
func decodeXtext(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '+' {
			b.WriteByte(s[i])
			continue
		}
		if i+3 > len(s) {
			return "", false
		}
		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		b.WriteByte(byte(n))
		i += 2
	}
	return b.String(), true
}

func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f })
}
