package alias

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

// The order in which an address is looked for: virtual(5), TABLE SEARCH ORDER and
// ADDRESS EXTENSION. Each key is tried in every table before the next key:
//
//	user+ext@domain, user@domain, user+ext, user, @domain
//
// The forms without a domain are for domains that are ours in the local sense only
// ($myorigin, $mydestination, our own addresses). Keys are in external form, as
// postmap(1) reads them: "odd user"@domain.

// searched are the tables of one parameter. Tables of patterns are asked for the
// whole address only: a part of one might match by accident.
type searched struct {
	whole, partial []table.Table
}

func search(maps table.Maps) searched {
	s := searched{whole: maps}
	for _, t := range maps {
		if !table.WholeKeys(t.Name()) {
			s.partial = append(s.partial, t)
		}
	}
	return s
}

// hit is what a lookup found.
type hit struct {
	key, value string
	table      table.Table
	extension  string // of the address, where the key had none: "+ext"
}

// find looks an address up. No such key is (hit{}, false, nil). An error is a
// *mail.Status to refuse with: the tables could not answer.
func (r *Resolver) find(ctx context.Context, in searched, a mail.Address) (hit, bool, error) {
	if len(in.whole) == 0 {
		return hit{}, false, nil
	}
	h, found, err := r.findAs(ctx, in, a)
	if found || err != nil || !r.o.EquateLabels {
		return h, found, err
	}
	if other, ok := otherLabels(a.Domain); ok {
		return r.findAs(ctx, in, mail.Address{Local: a.Local, Domain: other})
	}
	return hit{}, false, nil
}

func (r *Resolver) findAs(ctx context.Context, in searched, a mail.Address) (hit, bool, error) {
	full := external(a)
	h, found, err := r.lookup(ctx, in.whole, full)
	if found || err != nil || len(in.partial) == 0 {
		return h, found, err
	}
	bare, extension := r.splitExtension(a.Local)
	if extension != "" {
		h, found, err = r.lookup(ctx, in.partial, mail.Address{Local: bare, Domain: a.Domain}.String())
		if found || err != nil {
			h.extension = extension
			return h, found, err
		}
	}
	if a.Domain == "" {
		return hit{}, false, nil
	}
	local := strings.EqualFold(a.Domain, r.o.MyOrigin)
	if !local {
		if local, err = r.isLocal(ctx, a.Domain); err != nil {
			return hit{}, false, err
		}
	}
	if local {
		h, found, err = r.lookup(ctx, in.partial, mail.Address{Local: a.Local}.String())
		if found || err != nil {
			return h, found, err
		}
		if extension != "" {
			h, found, err = r.lookup(ctx, in.partial, mail.Address{Local: bare}.String())
			if found || err != nil {
				h.extension = extension
				return h, found, err
			}
		}
	}
	return r.lookup(ctx, in.partial, full[len(full)-len(a.Domain)-1:])
}

func (r *Resolver) lookup(ctx context.Context, tables []table.Table, key string) (hit, bool, error) {
	if key == "" {
		return hit{}, false, nil
	}
	for _, t := range tables {
		value, found, err := t.Lookup(ctx, key)
		if err == nil && found && value == "" {
			err = fmt.Errorf("the result is empty: a table must not answer so for a key that it does not have")
		}
		if err != nil {
			r.complain(fmt.Sprintf(`%s lookup error for "%s"`, t.Name(), key), err)
			return hit{}, false, lookupFailure()
		}
		if found {
			return hit{key: key, value: value, table: t}, true, nil
		}
	}
	return hit{}, false, nil
}

// splitExtension parts a local part at the first byte that is a recipient_delimiter;
// the extension keeps it. Names that the mail system itself uses are never split.
func (r *Resolver) splitExtension(local string) (bare, extension string) {
	delimiters := r.o.RecipientDelimiter
	if delimiters == "" {
		return local, ""
	}
	i := strings.IndexAny(local, delimiters)
	if i <= 0 || r.isSystemName(local) {
		return local, ""
	}
	if strings.Contains(delimiters, "-") && !r.o.SplitOwnerRequest {
		if hasPrefixFold(local, "owner-") || len(local) > len("-request") && hasSuffixFold(local, "-request") {
			return local, ""
		}
	}
	return local[:i], local[i:]
}

// isSystemName tells the local parts that every mail system has.
func (r *Resolver) isSystemName(local string) bool {
	return strings.EqualFold(local, "postmaster") || strings.EqualFold(local, "MAILER-DAEMON") ||
		strings.EqualFold(local, r.o.DoubleBounceSender)
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}

// locate says where a hit stands, for people: "FILE, line N", or the table's name.
func (h hit) locate() string {
	if l, ok := h.table.(table.Locator); ok {
		if where := l.Locate(h.key); where != "" {
			return where
		}
	}
	return h.table.Name()
}

// complain logs in Postfix's words what could not be looked up, and behind them why.
// That a fail: table fails is no reason worth telling.
func (r *Resolver) complain(what string, err error) {
	text := what + ": " + err.Error()
	if fail, ok := errors.AsType[table.FailError](err); ok {
		text = strings.TrimSuffix(text, ": "+fail.Error())
		// Of a unionmap: or pipemap:, not which of its tables it was either.
		if shorter, ok := strings.CutSuffix(text, `": `+fail.Table); ok {
			text = shorter + `"`
		}
	}
	r.log.Warn(text)
}

// lookupFailure is the answer when a table could not answer.
func lookupFailure() *mail.Status {
	return &mail.Status{Code: 451, Enhanced: mail.Code(4, 3, 0), Text: "Temporary lookup failure"}
}
