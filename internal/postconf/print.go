package postconf

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// PrintOptions are the options of postconf(1) that say how to show parameters.
type PrintOptions struct {
	Explicit   bool // -n: only what is set
	Defaults   bool // -d: defaults in place of values
	Expand     bool // -x: with every $name replaced
	NamesOnly  bool // -H
	ValuesOnly bool // -h
	Fold       bool // -f: no line over 80 columns, where there is a space to break it at
}

// Print shows parameters as postconf(1) does, one a line: those named, in that order,
// or all by name. White space between words becomes one space. It returns the names
// that are no parameters.
func (c *Config) Print(w io.Writer, names []string, o PrintOptions) (unknown []string, err error) {
	used := c.references()
	known := func(name string) bool {
		return c.param(name) != nil || used[name] && c.Set(name) && !o.Defaults
	}
	if len(names) == 0 {
		names = c.printable(known, o)
	}
	x := c.expander()
	x.finish = nil // myorigin is shown as it is written
	for _, name := range names {
		if !known(name) {
			unknown = append(unknown, name)
			continue
		}
		if o.Explicit && !c.Set(name) {
			continue
		}
		if err := c.printOne(w, x, name, o); err != nil {
			return unknown, err
		}
	}
	return unknown, nil
}

// printable are the names to show when none is asked for. What has no effect is shown
// only if it is set.
func (c *Config) printable(known func(string) bool, o PrintOptions) []string {
	var names []string
	for name, p := range c.table {
		if p.Kind != Unsupported && !c.Set(name) {
			names = append(names, name)
		}
	}
	for name := range c.set {
		if known(name) && !(o.Defaults && c.param(name).Kind == Unsupported) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (c *Config) printOne(w io.Writer, x *expander, name string, o PrintOptions) error {
	var value string
	var err error
	switch {
	case o.NamesOnly:
	case o.Defaults:
		if value, err = c.defaultValue(x, name); err == nil && o.Expand {
			value, err = x.text(value)
		}
	case o.Expand:
		value, err = x.parameter(name)
	default:
		value, err = c.written(x, name)
	}
	if err != nil {
		return placed(err, c.place(name), name)
	}
	switch {
	case o.NamesOnly:
	case o.ValuesOnly:
		name = value
	default:
		name += " = " + value
	}
	_, err = io.WriteString(w, layOut(words(name), o.Fold))
	return err
}

// Folded lines are shorter than this, and begin with this.
const (
	foldWidth  = 80
	foldIndent = "    "
)

// layOut joins words with spaces, or folds them into lines.
func layOut(list []string, fold bool) string {
	var out strings.Builder
	column := 0
	for _, word := range list {
		switch {
		case column == 0:
		case fold && column+len(word) >= foldWidth:
			out.WriteString("\n" + foldIndent)
			column = len(foldIndent)
		default:
			out.WriteByte(' ')
			column++
		}
		out.WriteString(word)
		column += len(word)
	}
	return out.String() + "\n"
}

// PrintServices shows lines of master.cf as postconf -M does: all, or those that match
// one of the patterns "name" or "name/type", either of which may be "*". It returns the
// patterns that matched nothing.
func (c *Config) PrintServices(w io.Writer, patterns []string, o PrintOptions) (unmatched []string, err error) {
	for _, s := range c.services {
		if len(patterns) > 0 && !slices.ContainsFunc(patterns, s.matches) {
			continue
		}
		if err := c.printService(w, s, o); err != nil {
			return nil, err
		}
	}
	for _, p := range patterns {
		if !slices.ContainsFunc(c.services, func(s Service) bool { return s.matches(p) }) {
			unmatched = append(unmatched, p)
		}
	}
	return unmatched, nil
}

func (s Service) matches(pattern string) bool {
	name, typ, has := strings.Cut(pattern, "/")
	if i := strings.LastIndexByte(pattern, '/'); i >= 0 {
		name, typ = pattern[:i], pattern[i+1:]
	}
	return (name == "*" || name == s.Name) && (!has || typ == "*" || typ == s.Type)
}

func (c *Config) printService(w io.Writer, s Service, o PrintOptions) error {
	// The fields begin in fixed columns, as far as the one before leaves room.
	var line strings.Builder
	columns := []int{0, 11, 17, 25, 33, 41, 49, 57}
	for i, field := range []string{
		s.Name, s.Type, s.Private, s.Unprivileged, s.Chroot, s.Wakeup, s.ProcessLimit, s.Command,
	} {
		if i > 0 {
			line.WriteString(strings.Repeat(" ", max(1, columns[i]-line.Len())))
		}
		line.WriteString(field)
	}
	x := c.forService(s).expander()
	x.finish = nil
	for i, a := range s.arguments {
		text := a.text
		if a.override && o.Expand {
			name, value, _ := strings.Cut(text, "=")
			value, err := x.text(value)
			if err != nil {
				return placed(err, s.place(), "-o "+name)
			}
			text = name + "=" + value
		}
		text = braced(text)
		if a.override {
			text = "-o " + text
		}
		// Folded, each -o has a line of its own.
		if alone := a.override || i > 0 && s.arguments[i-1].override; o.Fold && (alone || column(&line)+1+len(text) >= foldWidth) {
			line.WriteString("\n" + foldIndent)
		} else {
			line.WriteByte(' ')
		}
		line.WriteString(text)
	}
	_, err := fmt.Fprintln(w, line.String())
	return err
}

func column(b *strings.Builder) int {
	s := b.String()
	return len(s) - 1 - strings.LastIndexByte(s, '\n')
}

// braced protects an argument with spaces in it, or with nothing in it. One with a
// brace too many never had braces around it: they could not be told apart.
func braced(arg string) string {
	list := words(arg)
	arg = strings.Join(list, " ")
	if len(list) == 1 && arg[0] != '{' {
		return arg
	}
	if _, rest, _ := balanced("{" + arg + "}"); rest != "" {
		return arg
	}
	return "{" + arg + "}"
}
