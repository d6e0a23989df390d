package reputation

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"aliasmx/internal/mail"
)

// Options are what a Book is made of.
type Options struct {
	Log *slog.Logger     // nil: nothing is logged
	Now func() time.Time // nil: time.Now

	// File keeps the ledger over restarts (reputation_map); "": in memory only. Name is what
	// the log calls it. It is read with the first thing that is counted.
	File, Name string

	Params
}

// Params can be changed while the Book is in use. The zero value counts nothing and limits
// nobody.
type Params struct {
	// Enabled is reputation_enable: the ledger is kept.
	Enabled bool

	// AliasRate and DomainRate are alias_rate_limit and alias_domain_rate_limit, how many
	// messages an alias and all addresses of a domain may get in a RateUnit
	// (alias_rate_time_unit, 1h); 0: no limit. Limit, when not nil, has another one for an
	// alias or a domain (alias_rate_limit_maps); it may wait as long as ctx lives.
	AliasRate, DomainRate int
	RateUnit              time.Duration
	Limit                 func(ctx context.Context, key string) (limit int, found bool, err error)
	// OwnRate, when not nil, is a rate that an alias has beside those (alias_attribute_maps),
	// in a unit of its own; 0: it has none.
	OwnRate func(ctx context.Context, alias mail.Address) (limit int, unit time.Duration, err error)
	// CatchAllLimit is catchall_address_limit, how many different addresses of a domain that
	// nothing but its @domain entry takes may get mail in an hour; 0: no limit. IsCatchAll
	// tells such an address.
	CatchAllLimit int
	IsCatchAll    func(context.Context, mail.Address) (bool, error)

	// Complete gives an address its domain; nil: it has one. StripExtension takes the
	// extension off a local part; nil: it has none.
	Complete       func(mail.Address) mail.Address
	StripExtension func(local string) string
	// Ours tells the addresses in domains of ours. Rates and the ledger are about no others.
	Ours func(context.Context, mail.Address) (bool, error)

	// Reports are arf_recipients, in lower case: mail to them may be complaints.
	Reports map[string]bool
	// ComplaintLimit is alias_complaint_limit, how many complaints about an alias there may be
	// in a day (UTC) before ComplaintAction is taken; 0: any number.
	ComplaintLimit  int
	ComplaintAction Action

	MyHostname string // by which our Received fields are known
}

// Action is what becomes of mail for an alias that there are too many complaints about
// (alias_complaint_action).
type Action uint8

// The actions. ActNone is the zero value.
const (
	ActNone Action = iota
	ActHold
	ActReject
)

// ParseAction reads a value of alias_complaint_action.
func ParseAction(s string) (Action, error) {
	switch s {
	case "none":
		return ActNone, nil
	case "hold":
		return ActHold, nil
	case "reject":
		return ActReject, nil
	}
	return ActNone, fmt.Errorf("%q is not one of none, hold, reject", s)
}

func (p *Params) setDefaults() {
	if p.RateUnit <= 0 {
		p.RateUnit = time.Hour
	}
	if p.Complete == nil {
		p.Complete = func(a mail.Address) mail.Address { return a }
	}
	if p.StripExtension == nil {
		p.StripExtension = func(local string) string { return local }
	}
	if p.Ours == nil {
		p.Ours = func(context.Context, mail.Address) (bool, error) { return true, nil }
	}
}

// idle tells whether recipients need not be looked at.
func (p *Params) idle() bool {
	return p.AliasRate == 0 && p.DomainRate == 0 && p.Limit == nil && p.OwnRate == nil && p.CatchAllLimit == 0 &&
		(p.ComplaintLimit == 0 || p.ComplaintAction == ActNone)
}
