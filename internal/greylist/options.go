package greylist

import (
	"log/slog"
	"time"
)

// Options are what a List is made of.
type Options struct {
	Log *slog.Logger     // nil: nothing is logged
	Now func() time.Time // nil: time.Now

	// File keeps the table over restarts (greylist_map); "": in memory only. Name is what the
	// log calls it. It is read when the first question comes.
	File, Name string
	MaxEntries int // triples that are remembered, and networks (100000)

	Params
}

// Params can be changed while the List is in use; zero values have the default in brackets
// where one is named.
type Params struct {
	Delay       time.Duration // greylist_delay (5m)
	RetryWindow time.Duration // greylist_retry_window (2d)
	Expire      time.Duration // greylist_expire (35d)
	IPv4Prefix  int           // greylist_ipv4_prefix (24)
	IPv6Prefix  int           // greylist_ipv6_prefix (64)
	AutoAllow   int           // greylist_auto_allow; 0: no network passes as a whole
}

func (p *Params) setDefaults() {
	for _, d := range []struct {
		value *time.Duration
		def   time.Duration
	}{{&p.Delay, 5 * time.Minute}, {&p.RetryWindow, 48 * time.Hour}, {&p.Expire, 35 * 24 * time.Hour}} {
		if *d.value <= 0 {
			*d.value = d.def
		}
	}
	if p.IPv4Prefix <= 0 || p.IPv4Prefix > 32 {
		p.IPv4Prefix = 24
	}
	if p.IPv6Prefix <= 0 || p.IPv6Prefix > 128 {
		p.IPv6Prefix = 64
	}
}
