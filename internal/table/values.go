package table

import (
	"cmp"
	"maps"
	"slices"
)

// Value is one result that a table can give.
type Value struct {
	// Text is the result; with Open only what stands before the first part of it that
	// depends on the key ($1 of regexp_table(5)).
	Text string
	Open bool

	// Where is "FILE, line N", "" for what stands in the configuration.
	Where string
}

// Valued is a Table whose results are all known while it is open, and few enough to look
// at: those of rules, and those held in memory.
type Valued interface {
	// Values yields the results that there are now, in the order of their lines.
	Values(yield func(Value) bool) error
}

// Values implements Valued.
func (t *patterns) Values(yield func(Value) bool) error {
	return t.use(func(r *rules) error {
		for i := range r.list {
			if rule := &r.list[i]; rule.kind == ruleResult {
				text, open := rule.result.fixed()
				if !yield(Value{text, open, where(r.file, rule.line)}) {
					break
				}
			}
		}
		return nil
	})
}

// fixed is the text before the first group, and whether there is one.
func (r replacement) fixed() (text string, open bool) {
	for _, p := range r {
		if p.group != 0 {
			return text, true
		}
		text += p.text
	}
	return text, false
}

// Values implements Valued.
func (t *texts) Values(yield func(Value) bool) error {
	return t.use(func(m *memory) error {
		byLine := slices.SortedFunc(maps.Values(m.entries), func(a, b located) int {
			return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.value, b.value))
		})
		for _, l := range byLine {
			if !yield(Value{Text: l.value, Where: where(m.file, l.line)}) {
				break
			}
		}
		return nil
	})
}

// Values implements Valued.
func (t *static) Values(yield func(Value) bool) error {
	yield(Value{Text: t.value})
	return nil
}
