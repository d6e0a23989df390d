package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"aliasmx/internal/mail"
	"aliasmx/internal/shaping"
	"aliasmx/internal/table"
)

// shaper says what sites bear: smtp_shaping_maps and smtp_shaping_defaults.
type shaper struct {
	tables         shaping.Tables
	maps, defaults *lastLines // what tables asks; nil: there is none
	log            *slog.Logger

	away atomic.Bool // a table is, and that was said
}

// toldMost is how many faulty lines of a table are warned of: one on a server can have any
// number.
const toldMost = 100

// shaper opens the tables and reads every line that can be listed.
func (t *tables) shaper(log *slog.Logger) (*shaper, error) {
	s := &shaper{log: log.With(mail.KeyDaemon, "qmgr")}
	for _, p := range []struct {
		name string
		into **lastLines
	}{{"smtp_shaping_maps", &s.maps}, {"smtp_shaping_defaults", &s.defaults}} {
		maps := t.maps(p.name)
		if t.err != nil {
			return nil, t.err
		}
		if maps == nil {
			continue
		}
		own := &shapingTable{maps, p.name + " (" + t.cfg.Where(p.name) + ")"}
		*p.into = newLastLines(own, t.cfg.Get(p.name), s.log)
		if err := own.check((*p.into).remember); err != nil {
			return nil, err
		}
	}
	s.ask(s.maps, s.defaults)
	return s, nil
}

// ask sets the tables; nil: there is none.
func (s *shaper) ask(maps, defaults *lastLines) {
	s.maps, s.defaults, s.tables = maps, defaults, shaping.Tables{}
	if maps != nil { // a nil pointer must become a nil interface
		s.tables.Maps = maps
	}
	if defaults != nil {
		s.tables.Defaults = defaults
	}
}

// last is the line that held when the tables were last asked.
func (s *shaper) last(ctx context.Context, domain string, hosts []string) (shaping.Answer, bool) {
	var t shaping.Tables
	if s.maps != nil {
		t.Maps = remembered{s.maps, "smtp_shaping_maps"}
	}
	if s.defaults != nil {
		t.Defaults = remembered{s.defaults, "smtp_shaping_defaults"}
	}
	a, found, _ := t.Find(ctx, domain, hosts) // what is remembered could be read
	return a, found
}

// inherit takes over what the shaper before a reload remembers.
func (s *shaper) inherit(old *shaper) {
	s.maps.inherit(old.maps)
	s.defaults.inherit(old.defaults)
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

// check finds the first line that cannot be read or never found, as far as the tables can
// be listed, and calls good with the others.
func (t *shapingTable) check(good func(key, line string)) error {
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
	seen := map[string]bool{}
	for _, m := range t.maps {
		if !table.Local(m.Name()) {
			continue
		}
		var err error
		switch list := m.(type) {
		case table.Lister:
			err = list.Each(func(key, value string) bool {
				if err := checkShapingLine(key, value); err != nil {
					fault(t.place(m, key), key, err)
				} else if !seen[key] && len(seen) < lastLinesMost { // the first table that has it answers
					seen[key] = true
					good(key, value)
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

// find is the line for a domain with these hosts: the last one known where a table is
// away, which is worth one warning. There is none by a line that could never be read.
func (s *shaper) find(ctx context.Context, domain string, hosts []string) (shaping.Answer, bool) {
	a, found, err := s.tables.Find(ctx, domain, hosts)
	if _, faulty := errors.AsType[*shaping.Error](err); faulty { // lastLines has said so
		return shaping.Answer{}, false
	}
	if err != nil {
		if ctx.Err() == nil && !s.away.Swap(true) {
			s.log.Warn(err.Error() + "; until the table answers, sites have the limits that are known of it")
		}
		return s.last(ctx, domain, hosts)
	}
	s.away.Store(false)
	return a, found
}

// hostConnections is how many connections at a time a host of a next hop is to get; 0: the
// tables do not say. It is asked before each connection, and so does not ask a table that
// is away: whether it is back is seen when a site is looked for.
func (s *shaper) hostConnections(ctx context.Context, domain, host string) int {
	find := s.find
	if s.away.Load() {
		find = s.last
	}
	a, _ := find(ctx, domain, []string{host})
	return a.HostConnections
}
