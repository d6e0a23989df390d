package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"aliasmx/internal/mail"
	"aliasmx/internal/shaping"
	"aliasmx/internal/table"
)

// shaper says what sites bear: smtp_shaping_maps and smtp_shaping_defaults.
type shaper struct {
	tables shaping.Tables
	log    *slog.Logger

	away atomic.Bool // a table is, and that was said
	mu   sync.Mutex  // guards told
	told map[string]bool
}

// toldMost is how many faulty lines are warned of. A table on a server can have any number.
const toldMost = 100

// shaper opens the tables and reads every line that can be listed.
func (t *tables) shaper(log *slog.Logger) (*shaper, error) {
	s := &shaper{log: log.With(mail.KeyDaemon, "qmgr"), told: map[string]bool{}}
	for _, p := range []struct {
		name string
		into *shaping.Table
	}{{"smtp_shaping_maps", &s.tables.Maps}, {"smtp_shaping_defaults", &s.tables.Defaults}} {
		maps := t.maps(p.name)
		if t.err != nil {
			return nil, t.err
		}
		if maps == nil {
			continue // a nil list must stay a nil interface
		}
		own := &shapingTable{maps, p.name + " (" + t.cfg.Where(p.name) + ")"}
		if err := own.check(); err != nil {
			return nil, err
		}
		*p.into = own
	}
	return s, nil
}

// shapingTable is the tables of a parameter.
type shapingTable struct {
	maps      table.Maps
	parameter string // and where it is set
}

// Lookup implements shaping.Table.
func (t *shapingTable) Lookup(ctx context.Context, key string) (line, where string, found bool, err error) {
	line, by, found, err := t.maps.Lookup(ctx, key)
	switch {
	case err != nil:
		return "", "", false, fmt.Errorf("%s: %w", t.parameter, err)
	case !found:
		return "", "", false, nil
	}
	return line, t.place(by, key), true, nil
}

// place is where a key stands: a file and line, or a parameter.
func (t *shapingTable) place(by table.Table, key string) string {
	if l, ok := by.(table.Locator); ok {
		if at := l.Locate(key); at != "" {
			return at
		}
	}
	return t.parameter
}

// check finds the first line that cannot be read, as far as the tables can be listed.
func (t *shapingTable) check() error {
	var first error
	var at shownFinding
	fault := func(where, key string, err error) {
		file, line, _ := cutLine(where)
		place := shownFinding{cmp.Or(file, where), line, key}
		if first == nil || place.compare(at) < 0 {
			text := where + ": " + key
			if where != t.parameter {
				text = t.parameter + ": " + text
			}
			first, at = fmt.Errorf("%s: %w", strings.TrimSuffix(text, ": "), err), place
		}
	}
	for _, m := range t.maps {
		if !table.Local(m.Name()) {
			continue
		}
		var err error
		switch list := m.(type) {
		case table.Lister:
			err = list.Each(func(key, value string) bool {
				if _, err := shaping.Parse(value); err != nil {
					fault(t.place(m, key), key, err)
				}
				return true
			})
		case table.Valued:
			err = list.Values(func(v table.Value) bool {
				if _, err := shaping.Parse(v.Text); err != nil && !v.Open {
					fault(cmp.Or(v.Where, t.parameter), "", err)
				}
				return true
			})
		}
		if err != nil {
			return fmt.Errorf("%s: %w", t.parameter, err)
		}
	}
	return first
}

// find is the line for a domain with these hosts. Where a table is away, or the line
// cannot be read, there is none, and one warning.
func (s *shaper) find(ctx context.Context, domain string, hosts []string) (shaping.Answer, bool) {
	a, found, err := s.tables.Find(ctx, domain, hosts)
	if faulty, ok := errors.AsType[*shaping.Error](err); ok {
		s.mu.Lock()
		news := !s.told[faulty.Key] && len(s.told) < toldMost
		if news {
			s.told[faulty.Key] = true
		}
		s.mu.Unlock()
		if news {
			s.log.Warn(faulty.Error() + "; until it is corrected there are no limits by this line")
		}
		return shaping.Answer{}, false
	}
	if err != nil {
		if ctx.Err() == nil && !s.away.Swap(true) {
			s.log.Warn(err.Error() + "; until the table answers, sites have no limits of their own")
		}
		return shaping.Answer{}, false
	}
	s.away.Store(false)
	return a, found
}

// hostConnections is how many connections at a time a host of a next hop is to get; 0: the
// tables do not say. It is asked before each connection, and so does not ask a table that
// is away: whether it is back is seen when a site is looked for.
func (s *shaper) hostConnections(ctx context.Context, domain, host string) int {
	if s.away.Load() {
		return 0
	}
	a, _ := s.find(ctx, domain, []string{host})
	return a.HostConnections
}
