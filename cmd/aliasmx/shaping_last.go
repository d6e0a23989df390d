package main

import (
	"context"
	"log/slog"
	"sync"

	"aliasmx/internal/shaping"
)

// A mistake in a table must not switch a limit off: the last line of a key that could be
// read stays in force until there is another one, or none.

// lastLinesMost is how many lines of a table are remembered. A table of rules, or on a
// server, can have one for any key.
const lastLinesMost = 10_000

// lastLines is a table that remembers its lines by their keys.
type lastLines struct {
	table  shaping.Table
	source string // what the parameter says, which a reload may change
	log    *slog.Logger

	mu   sync.Mutex
	good map[string]string // by key; at most lastLinesMost
	told map[string]bool   // keys whose faulty line was warned of; at most toldMost
}

func newLastLines(t shaping.Table, source string, log *slog.Logger) *lastLines {
	return &lastLines{table: t, source: source, log: log, good: map[string]string{}, told: map[string]bool{}}
}

// Lookup implements shaping.Table. A line that cannot be read is worth one warning.
func (l *lastLines) Lookup(ctx context.Context, key string) (line, where string, found bool, err error) {
	line, where, found, err = l.table.Lookup(ctx, key)
	if err != nil {
		return "", "", false, err
	}
	last, known := l.last(key)
	if found && known && line == last {
		l.corrected(key)
		return line, where, true, nil
	}
	if !found {
		l.forget(key)
		return "", "", false, nil
	}
	if _, err := shaping.Parse(line); err != nil {
		text := "there are no limits by this line"
		if known {
			text = "the last good line of it is in force (" + last + ")"
			line = last
		}
		if l.news(key) {
			l.log.Warn((&shaping.Error{Key: key, Where: where, Err: err}).Error() + "; until it is corrected " + text)
		}
		return line, where, true, nil
	}
	l.remember(key, line)
	l.corrected(key)
	return line, where, true, nil
}

// remembered is the table without asking it.
type remembered struct {
	lines *lastLines
	where string
}

// Lookup implements shaping.Table.
func (r remembered) Lookup(_ context.Context, key string) (line, where string, found bool, err error) {
	line, found = r.lines.last(key)
	return line, r.where, found, nil
}

func (l *lastLines) last(key string) (line string, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line, known = l.good[key]
	return line, known
}

func (l *lastLines) remember(key, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.good[key]; !known && len(l.good) >= lastLinesMost {
		for other := range l.good { // any: none is worth more than another
			delete(l.good, other)
			break
		}
	}
	l.good[key] = line
}

func (l *lastLines) forget(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.good, key)
	delete(l.told, key)
}

func (l *lastLines) corrected(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.told, key)
}

// news tells whether a fault is to be warned of.
func (l *lastLines) news(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.told[key] || len(l.told) >= toldMost {
		return false
	}
	l.told[key] = true
	return true
}

// inherit takes over what was remembered before a reload that left the parameter alone.
func (l *lastLines) inherit(old *lastLines) {
	if l == nil || old == nil || l.source != old.source {
		return
	}
	old.mu.Lock()
	defer old.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, line := range old.good {
		if _, known := l.good[key]; !known && len(l.good) < lastLinesMost {
			l.good[key] = line
		}
	}
}
