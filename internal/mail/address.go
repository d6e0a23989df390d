package mail

import (
	"strings"
	"time"
)

// Address is a mailbox in internal form: quotes and backslashes of the local part
// are taken off, so that two spellings of one mailbox compare equal. The zero
// Address is the null reverse-path. An Address with a Local and no Domain is a bare
// name, such as postmaster.
//
// The local part and the domain are kept apart on purpose: a local part may hold an
// @ (RFC 5321 section 4.1.2, quoted-string), and joining the two and splitting them
// again must never change the domain that mail goes to.
type Address struct {
	Local  string
	Domain string // as written, case kept; an address literal keeps its brackets
}

// SplitAddress reads an address in internal form, such as a table's right-hand side
// after unquoting. The domain begins after the last @.
func SplitAddress(s string) Address {
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		return Address{Local: s[:i], Domain: s[i+1:]}
	}
	return Address{Local: s}
}

// IsNull tells whether a is the null reverse-path.
func (a Address) IsNull() bool { return a.Local == "" && a.Domain == "" }

// Internal returns the unquoted form, local@domain.
func (a Address) Internal() string {
	if a.Domain == "" {
		return a.Local
	}
	return a.Local + "@" + a.Domain
}

func (a Address) appendInternal(b []byte) []byte {
	b = append(b, a.Local...)
	if a.Domain != "" {
		b = append(append(b, '@'), a.Domain...)
	}
	return b
}

// String returns the external form of RFC 5321 section 4.1.2, without angle
// brackets: the local part is quoted where it is not a dot-string. Tables are asked
// for it and the log shows it. A Local that ends in @ without a Domain is an address
// whose domain is empty ("user@"), and is shown as that.
func (a Address) String() string {
	local := a.Local
	if user, ok := strings.CutSuffix(local, "@"); ok && a.Domain == "" && isDotString(user) {
		return local
	}
	if !isDotString(local) && !a.IsNull() {
		local = quoteLocal(local)
	}
	if a.Domain == "" {
		return local
	}
	return local + "@" + a.Domain
}

// AppendTo appends what String returns.
func (a Address) AppendTo(b []byte) []byte {
	if a.Domain == "" || !isDotString(a.Local) {
		return append(b, a.String()...) // the rare kinds
	}
	b = append(b, a.Local...)
	b = append(b, '@')
	return append(b, a.Domain...)
}

// Equal compares as mail systems do on the way: domains without regard to case,
// local parts exactly.
func (a Address) Equal(b Address) bool {
	return a.Local == b.Local && strings.EqualFold(a.Domain, b.Domain)
}

func isDotString(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '.' {
			if s[i-1] == '.' {
				return false
			}
			continue
		}
		if c <= ' ' || c == 0x7f || strings.IndexByte(`()<>[]:;@\,"`, c) >= 0 {
			return false
		}
	}
	return true
}

func quoteLocal(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
	return b.String()
}

// Reply is what a reverse alias stands for: mail to it goes from an alias to a correspondent
// of the alias's owner.
type Reply struct{ Alias, Correspondent Address }

// ReplyLetter is a message that the owner of an alias has sent to a reverse alias.
type ReplyLetter struct {
	Reply
	Owner Address // the reverse-path
	ID    QueueID
	Now   time.Time
}
