package postconf

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Showing master.cf as postconf -M, -F and -P do: whole lines, their fields, and the
// parameters that they override.

// fieldNames are the names of the fields of master.cf, as -F has them.
var fieldNames = []string{"service", "type", "private", "unprivileged", "chroot", "wakeup", "process_limit", "command"}

// commandField is the index of the last of them, which has the arguments with it.
const commandField = 7

func (s *Service) fields() []*string {
	return []*string{&s.Name, &s.Type, &s.Private, &s.Unprivileged, &s.Chroot, &s.Wakeup, &s.ProcessLimit, &s.Command}
}

// ServicePattern is "name[/type[/item]]" of postconf(1): a part that is "*" or missing
// stands for everything. The item is a field or a parameter.
type ServicePattern struct{ Name, Type, Item string }

// ParseServicePattern fails if there are fewer or more parts than asked for.
func ParseServicePattern(text string, least, most int) (p ServicePattern, ok bool) {
	parts := strings.Split(text, "/")
	if len(parts) < least || len(parts) > most || parts[0] == "" {
		return p, false
	}
	for _, part := range parts {
		if part != "*" && strings.Contains(part, "*") {
			return p, false
		}
	}
	parts = append(parts, "*", "*")
	return ServicePattern{parts[0], parts[1], parts[2]}, true
}

func (p ServicePattern) matches(s Service) bool {
	return matchesPart(p.Name, s.Name) && matchesPart(p.Type, s.Type)
}

func matchesPart(pattern, text string) bool { return pattern == "*" || pattern == text }

// fieldIndex finds a field by its name; -1 is "*".
func fieldIndex(name string) (int, error) {
	if name == "*" {
		return -1, nil
	}
	i := slices.Index(fieldNames, name)
	if i < 0 {
		return 0, fmt.Errorf("invalid service attribute name: %q", name)
	}
	return i, nil
}

// servicePrinter shows what a pattern asks for of a service that it matches, and tells
// whether there was something.
type servicePrinter func(s Service, p ServicePattern) (shown bool, err error)

// eachService goes through the services, and for each through the patterns: none stands
// for "*". It returns the patterns that nothing was shown for.
func (c *Config) eachService(patterns []string, option, form string, parts int, show servicePrinter) (unmatched []string, err error) {
	list := make([]ServicePattern, 0, len(patterns))
	for _, text := range patterns {
		p, ok := ParseServicePattern(text, 1, parts)
		if !ok {
			return nil, fmt.Errorf("%s option requires %s", option, form)
		}
		list = append(list, p)
	}
	if len(list) == 0 {
		list = []ServicePattern{{"*", "*", "*"}}
	}
	matched := make([]bool, len(list))
	for _, s := range c.services {
		for i, p := range list {
			if !p.matches(s) {
				continue
			}
			shown, err := show(s, p)
			if err != nil {
				return nil, err
			}
			matched[i] = matched[i] || shown
		}
	}
	for i, text := range patterns {
		if !matched[i] {
			unmatched = append(unmatched, text)
		}
	}
	return unmatched, nil
}

// PrintServices shows lines of master.cf as postconf -M does: all, or those that match
// one of the patterns "name" or "name/type". It returns the patterns that matched
// nothing.
func (c *Config) PrintServices(w io.Writer, patterns []string, o PrintOptions) (unmatched []string, err error) {
	last := ""
	return c.eachService(patterns, "-M", "service_name[/type]", 2, func(s Service, _ ServicePattern) (bool, error) {
		if key := s.Name + "/" + s.Type; key != last { // once, however many patterns match
			last = key
			return true, c.printService(w, s, o)
		}
		return true, nil
	})
}

// PrintFields shows fields of master.cf as postconf -F does: all, or those that match
// one of the patterns "name[/type[/field]]".
func (c *Config) PrintFields(w io.Writer, patterns []string, o PrintOptions) (unmatched []string, err error) {
	return c.eachService(patterns, "-F", "service_name[/type[/field]]", 3, func(s Service, p ServicePattern) (bool, error) {
		only, err := fieldIndex(p.Item)
		if err != nil {
			return false, err
		}
		for i, value := range s.fields() {
			if only >= 0 && i != only {
				continue
			}
			if err := c.printField(w, s, i, *value, o); err != nil {
				return false, err
			}
		}
		return true, nil
	})
}

func (c *Config) printField(w io.Writer, s Service, i int, value string, o PrintOptions) error {
	name := s.Name + "/" + s.Type + "/" + fieldNames[i]
	var line strings.Builder
	switch {
	case o.NamesOnly:
		line.WriteString(name)
	case o.ValuesOnly:
		line.WriteString(value)
	default:
		line.WriteString(name + " = " + value)
	}
	if i == commandField && !o.NamesOnly {
		if err := c.writeArguments(&line, s, o); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w, line.String())
	return err
}

// PrintOverrides shows parameters that master.cf sets with -o, as postconf -P does: all,
// or those that match one of the patterns "name[/type[/parameter]]".
func (c *Config) PrintOverrides(w io.Writer, patterns []string, o PrintOptions) (unmatched []string, err error) {
	return c.eachService(patterns, "-P", "service_name[/type[/parameter]]", 3, func(s Service, p ServicePattern) (shown bool, err error) {
		values := make(map[string]string, len(s.Overrides)) // the last one counts
		var names []string
		for _, a := range s.Overrides {
			if _, again := values[a.Name]; !again && matchesPart(p.Item, a.Name) {
				names = append(names, a.Name)
			}
			values[a.Name] = a.Value
		}
		slices.Sort(names)
		x := c.forService(s).expander()
		x.finish = nil
		for _, name := range names {
			value := values[name]
			if o.Expand {
				if value, err = x.text(value); err != nil {
					return false, placed(err, s.place(), "-o "+name)
				}
			}
			full := s.Name + "/" + s.Type + "/" + name
			switch {
			case o.NamesOnly:
				value = full
			case !o.ValuesOnly:
				value = full + " = " + value
			}
			if _, err := io.WriteString(w, layOut(words(value), o.Fold)); err != nil {
				return false, err
			}
		}
		return len(names) > 0, nil
	})
}

func (c *Config) printService(w io.Writer, s Service, o PrintOptions) error {
	// The fields begin in fixed columns, as far as the one before leaves room.
	var line strings.Builder
	columns := []int{0, 11, 17, 25, 33, 41, 49, 57}
	for i, field := range s.fields() {
		if i > 0 {
			line.WriteString(strings.Repeat(" ", max(1, columns[i]-line.Len())))
		}
		line.WriteString(*field)
	}
	if err := c.writeArguments(&line, s, o); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, line.String())
	return err
}

// writeArguments appends the arguments of a service's command to its line.
func (c *Config) writeArguments(line *strings.Builder, s Service, o PrintOptions) error {
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
		if alone := a.override || i > 0 && s.arguments[i-1].override; o.Fold && (alone || column(line)+1+len(text) >= foldWidth) {
			line.WriteString("\n" + foldIndent)
		} else {
			line.WriteByte(' ')
		}
		line.WriteString(text)
	}
	return nil
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
