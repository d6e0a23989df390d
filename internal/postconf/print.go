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

	Classes []string // -C: only parameters of these classes; empty: of all
}

// Print shows parameters as postconf(1) does, one a line: those named, in that order,
// or all by name. White space between words becomes one space. It returns the names
// that are no parameters.
func (c *Config) Print(w io.Writer, names []string, o PrintOptions) (unknown []string, err error) {
	used := c.references()
	known := func(name string) bool {
		known := c.param(name) != nil || used[name] && c.Set(name) && !o.Defaults
		return known && (len(o.Classes) == 0 || slices.Contains(o.Classes, c.class(name)))
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

// ParseClasses reads the argument of -C: words as postconf(1) has them.
func ParseClasses(text string) ([]string, error) {
	var classes []string
	for _, word := range splitList(text) {
		switch word := strings.ToLower(word); word {
		case "builtin", "service", "user":
			classes = append(classes, word)
		case "all":
			classes = append(classes, "builtin", "service", "user")
		default:
			return nil, fmt.Errorf("unknown -C option value %q in %q", word, text)
		}
	}
	return classes, nil
}

// class is the class of a parameter: there always, there because of a service of
// master.cf, or made by whoever wrote main.cf.
func (c *Config) class(name string) string {
	switch {
	case c.table[name] != nil:
		return "builtin"
	case c.param(name) != nil:
		return "service"
	}
	return "user"
}

// printable are the names to show when none is asked for. What has no effect is shown
// only if it is set.
func (c *Config) printable(known func(string) bool, o PrintOptions) []string {
	var names []string
	for name, p := range c.table {
		if p.Kind != Unsupported && !c.Set(name) && known(name) {
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
