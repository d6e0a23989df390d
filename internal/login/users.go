package login

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/emersion/go-sasl"

	"aliasmx/internal/mail"
	"aliasmx/internal/mechanism"
	"aliasmx/internal/table"
)

// Users is a Source over a table of password hashes.
type Users struct {
	Table table.Maps
	// Domain completes user names without one (smtpd_sasl_local_domain); "": they stay.
	Domain string
	Gate   *Gate
	Warn   func(string)

	// seen is the hash that was read last: who is not in the table costs as much.
	seen atomic.Pointer[hash]
}

// lookupTimeout bounds what a table may take.
const lookupTimeout = 30 * time.Second

// longest is what a user name may have: more than any address.
const longest = 320

// Mechanisms implements Source.
func (u *Users) Mechanisms(context.Context) []Mechanism {
	return []Mechanism{{sasl.Plain, mechanism.Plaintext}, {sasl.Login, mechanism.Plaintext}}
}

// Begin implements Source.
func (u *Users) Begin(ctx context.Context, r Request) (Exchange, error) {
	x := &userExchange{}
	check := func(name, password string) error {
		x.name = u.complete(name)
		return u.check(ctx, x.name, password)
	}
	switch r.Mechanism {
	case sasl.Plain:
		x.server = sasl.NewPlainServer(func(identity, name, password string) error {
			// RFC 4616 section 2: nobody may act for another here.
			other := identity != "" && identity != name
			err := check(name, password)
			if other && err == nil {
				return failed("not authorized")
			}
			return err
		})
	case sasl.Login:
		x.server = &loginServer{check: check}
	default:
		return nil, failed("no mechanism available")
	}
	return x, nil
}

// Close implements Source. The table belongs to who has opened it.
func (u *Users) Close() error { return nil }

func (u *Users) complete(name string) string {
	if u.Domain == "" || name == "" || strings.Contains(name, "@") {
		return name
	}
	return name + "@" + u.Domain
}

// check finds out whether a user has a password. nil: he has.
func (u *Users) check(ctx context.Context, name, password string) error {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout+maxWait)
	defer cancel()
	h, err := u.find(ctx, name)
	if err != nil {
		return err
	}
	known := h != nil
	if known {
		u.seen.Store(h)
	} else {
		h = u.seen.Load().decoy()
	}
	matches := false
	if err := u.Gate.do(ctx, func() { matches = h.matches(password) }); err != nil {
		return unknown(errBusy.Error())
	}
	// An empty password is as none (RFC 4513 section 6.3.1): nobody chooses one.
	if !matches || !known || password == "" {
		return failed("authentication failure")
	}
	return nil
}

// find is the hash of a user, nil when there is no such user.
func (u *Users) find(ctx context.Context, name string) (*hash, error) {
	if !isName(name) {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	value, by, found, err := u.Table.Lookup(ctx, name)
	switch {
	case err != nil:
		u.Warn(fmt.Sprintf("SASL: smtpd_sasl_path: cannot look up user %s: %v", printable(name), err))
		return nil, unknown("user table unavailable")
	case !found:
		return nil, nil
	}
	h, err := parseHash(value)
	if err != nil {
		u.Warn(fmt.Sprintf("SASL: %s: the entry of user %s %v", by.Name(), printable(name), err))
		return nil, unknown("user table unavailable")
	}
	return h, nil
}

// isName tells whether something can be a user's name.
func isName(s string) bool {
	return s != "" && len(s) <= longest && s == strings.ToValidUTF8(s, "") &&
		!strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c == 0x7f })
}

// userExchange is an attempt to log in as a user of a table.
type userExchange struct {
	server sasl.Server
	name   string
}

// Next implements sasl.Server. What go-sasl finds wrong is the client's fault.
func (x *userExchange) Next(response []byte) ([]byte, bool, error) {
	challenge, done, err := x.server.Next(response)
	if err != nil {
		if _, ok := err.(*mail.Status); !ok {
			err = failed("malformed response")
		}
		return nil, true, err
	}
	return challenge, done, nil
}

func (x *userExchange) Username() string { return printable(x.name) }
func (x *userExchange) Close()           {}

// loginServer is the mechanism LOGIN, which was never standardized: the server asks for
// the name, then for the password.
type loginServer struct {
	check func(name, password string) error
	state int
	name  string
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if l.state == 0 && response == nil {
		l.state = 1
		return []byte("Username:"), false, nil
	}
	switch l.state {
	case 0, 1: // some clients send the name with AUTH
		l.name, l.state = string(response), 2
		return []byte("Password:"), false, nil
	case 2:
		l.state = 3
		return nil, true, l.check(l.name, string(response))
	}
	return nil, true, sasl.ErrUnexpectedClientResponse
}
