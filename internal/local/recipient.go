package local

import (
	"strings"

	"aliasmx/internal/mail"
)

// nesting bounds how deep an expansion goes, counted as Postfix counts it: four levels
// for each alias that leads to another.
const nesting = 100

// recipient delivers to a local address: the one the queue gave, or one an alias led to.
// It tells whether the recipient has to be tried again, as all that follow do.
func (d *delivery) recipient(st state) bool {
	st.level++
	if st.level > nesting+4 { // an alias that loops is to say so before this does
		d.warn("recipient nesting limit exceeded for %s", st.rcpt)
		return d.fails(st, mail.Code(5, 4, 6), "recipient nesting limit exceeded")
	}
	if _, before := d.been("recipient %d %s", st.level, st.rcpt.Internal()); before {
		return false
	}
	if d.delivered[foldAddress(st.rcpt)] {
		return d.failsForOwner(st, failure(mail.Code(5, 4, 6), "mail forwarding loop for %s", st.rcpt.Internal()))
	}
	if st.to.IsNull() {
		st.to = st.rcpt
	}
	st.local, st.domain = strings.ToLower(st.rcpt.Local), strings.ToLower(st.rcpt.Domain)
	st.user, st.extension, st.delimiter = d.split(st.local)
	if strings.Contains(st.extension, "/") {
		d.warn("%s: address with illegal extension: %s", d.a.Env.ID, st.local)
		st.local, st.extension = st.user, ""
	}
	if st.user == "" {
		return d.fails(st, mail.Code(5, 1, 3), "null username in %q", st.rcpt.Internal())
	}
	return d.branch(st)
}

// split takes the extension off a local part. Names that mean something as a whole are
// not split (split_addr(3)).
func (d *delivery) split(local string) (user, extension string, delimiter byte) {
	i := strings.IndexAny(local, d.RecipientDelimiter)
	if d.RecipientDelimiter == "" || i <= 0 {
		return local, "", 0
	}
	switch local {
	case "postmaster", "mailer-daemon", "double-bounce":
		return local, "", 0
	}
	if local[i] == '-' && !d.SplitOwnerRequest && (strings.HasPrefix(local, "owner-") || strings.HasSuffix(local, "-request")) {
		return local, "", 0
	}
	return local[:i], local[i+1:], local[i]
}

// branch finds out what a local name is.
func (d *delivery) branch(st state) bool {
	st.level++
	st.unmatched = ""
	if waits, found := d.alias(st, st.local); found {
		return waits
	}
	if st.extension != "" {
		bare := st
		if d.PropagateAlias {
			bare.unmatched = st.extension
		}
		if waits, found := d.alias(bare, st.user); found {
			return waits
		}
		st.unmatched = st.extension
	}
	// A name that is no alias, in a list or in an :include: file, gets a message of its
	// own, so that it fails or succeeds for itself.
	if st.owner != "" && !strings.EqualFold(st.owner, st.user) || st.source == fromInclude {
		return d.indirect(st)
	}
	return d.unknown(st)
}

// unknown is for names that are no alias. There are no mailboxes.
func (d *delivery) unknown(st state) bool {
	if _, before := d.been("unknown %s", st.local); before {
		return false
	}
	if st.user == "mailer-daemon" || st.user == "postmaster" {
		d.warn("required alias not found: %s", st.user)
		return d.sent(st, "discarded")
	}
	return d.fails(st, mail.Code(5, 1, 1), "unknown user: %q", st.user)
}

// address goes on with an address that an alias led to.
func (d *delivery) address(st state, a mail.Address) bool {
	st.level++
	if a.IsNull() { // "": the null address is the mail system's own
		a.Local = "MAILER-DAEMON"
	}
	a = d.Router.Complete(a)
	if !validAddress(a) {
		return d.fails(st, mail.Code(5, 1, 3), "bad recipient address syntax: %s", a.Internal())
	}
	local, err := d.Router.Local(d.ctx, a)
	if err != nil {
		return d.fails(st, mail.Code(4, 3, 0), "address resolver failure")
	}
	if st.unmatched != "" {
		a.Local += string(st.delimiter) + st.unmatched
	}
	st.rcpt = a
	if local {
		return d.recipient(st)
	}
	return d.indirect(st)
}

// validAddress tells whether mail can be sent to a completed address.
func validAddress(a mail.Address) bool {
	if strings.HasPrefix(a.Domain, "[") {
		_, ok := mail.ParseLiteral(a.Domain)
		return ok && a.Local != ""
	}
	return a.Local != "" && mail.ValidHostname(strings.TrimSuffix(a.Domain, "."))
}
