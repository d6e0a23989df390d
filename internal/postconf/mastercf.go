package postconf

import (
	"fmt"
	"slices"
	"strings"
)

// Assignment is a name with its value, as in -o name=value.
type Assignment struct{ Name, Value string }

// Service is a line of master.cf: eight fields, master(5). Fields hold what was written,
// "-" for the default.
type Service struct {
	Name         string
	Type         string // inet, unix, unix-dgram, fifo, pass
	Private      string
	Unprivileged string
	Chroot       string
	Wakeup       string
	ProcessLimit string
	Command      string
	Args         []string     // without the -o of Overrides
	Overrides    []Assignment // -o name=value, in order
	File         string
	Line         int

	arguments []argument // Args and Overrides in order
}

// argument is one of Args, or one of Overrides with its -o.
type argument struct {
	text     string
	override bool
}

func (s *Service) addArgs(args ...string) {
	s.Args = append(s.Args, args...)
	for _, a := range args {
		s.arguments = append(s.arguments, argument{text: a})
	}
}

func (s Service) place() place { return place{s.File, s.Line} }

// parseMaster reads master.cf. Of several lines with the same name and type the last
// counts.
func parseMaster(file string, data []byte) ([]Service, []string, error) {
	lines, warnings := logicalLines(file, data)
	var services []Service
	index := make(map[string]int) // "name/type" to its place in services
	for _, l := range lines {
		s, err := parseService(place{file, l.line}, l.text)
		if err != nil {
			return nil, nil, err
		}
		key := s.Name + "/" + s.Type
		if i, again := index[key]; again {
			warnings = append(warnings, s.place().warn(fmt.Sprintf(
				"service %s replaces the one on line %d", key, services[i].Line)))
			services[i] = s
			continue
		}
		index[key] = len(services)
		services = append(services, s)
	}
	return services, warnings, nil
}

func parseService(at place, text string) (Service, error) {
	const form = "write: name type private unpriv chroot wakeup maxproc command"
	if strings.IndexByte(text, 0) >= 0 {
		return Service{}, at.fail("NUL byte", "remove it")
	}
	fields, err := masterFields(text)
	if err != nil {
		return Service{}, at.fail(err.Error(), "close every brace, and put a space after it")
	}
	if len(fields) < 8 {
		return Service{}, at.fail(fmt.Sprintf("%d fields instead of 8: %s", len(fields), shown(text)), form)
	}
	s := Service{
		Name: fields[0], Type: fields[1], Private: fields[2], Unprivileged: fields[3], Chroot: fields[4],
		Wakeup: fields[5], ProcessLimit: fields[6], Command: fields[7], File: at.file, Line: at.line,
	}
	if !slices.Contains([]string{"inet", "unix", "unix-dgram", "fifo", "pass"}, s.Type) {
		return s, at.fail("unknown service type "+shown(s.Type), "write inet, unix, unix-dgram, fifo or pass")
	}
	for _, f := range []struct{ name, value string }{
		{"private", s.Private}, {"unprivileged", s.Unprivileged}, {"chroot", s.Chroot},
	} {
		if f.value != "y" && f.value != "n" && f.value != "-" {
			return s, at.fail("invalid "+f.name+" field "+shown(f.value), "write y, n or -")
		}
	}
	if w := strings.TrimSuffix(s.Wakeup, "?"); w != "-" && !allDigits(w) {
		return s, at.fail("invalid wakeup field "+shown(s.Wakeup), "write seconds, perhaps with ?, or -")
	}
	if s.ProcessLimit != "-" && !allDigits(s.ProcessLimit) {
		return s, at.fail("invalid maxproc field "+shown(s.ProcessLimit), "write a number, 0 for no limit, or -")
	}
	return s, s.takeOptions(fields[8:])
}

// takeOptions finds -o name=value among the arguments. Options end with the first
// argument that is none: what follows belongs to another program.
func (s *Service) takeOptions(args []string) error {
	for i := 0; i < len(args); i++ {
		option, isOption := strings.CutPrefix(args[i], "-")
		if !isOption || option == "" || option == "-" {
			s.addArgs(args[i:]...)
			return nil
		}
		if option[0] != 'o' {
			s.addArgs(args[i])
			if takesArgument(option) && i+1 < len(args) {
				i++
				s.addArgs(args[i])
			}
			continue
		}
		setting := option[1:]
		if setting == "" {
			if i++; i == len(args) {
				return s.place().fail("-o without a setting", "write -o name=value")
			}
			setting = args[i]
		}
		name, value, err := nameValue(setting)
		if err != nil {
			return s.place().fail("-o: "+err.Error(), "write -o name=value, or -o { name = value } if there are spaces")
		}
		s.Overrides = append(s.Overrides, Assignment{name, value})
		s.arguments = append(s.arguments, argument{name + "=" + value, true})
	}
	return nil
}

// takesArgument knows the options of Postfix's daemons that have an argument.
func takesArgument(option string) bool {
	return len(option) == 1 && strings.Contains("cimnsSt", option)
}

// masterFields splits a line at white space that is not in braces. An argument, which
// is what follows the first eight fields, is what its braces enclose.
func masterFields(text string) ([]string, error) {
	var fields []string
	for {
		text = strings.TrimLeft(text, space)
		if text == "" {
			return fields, nil
		}
		end, level := 0, 0
		for ; end < len(text) && (level > 0 || !isSpace(text[end])); end++ {
			switch {
			case text[end] == '{':
				level++
			case text[end] == '}' && level > 0:
				level--
			}
		}
		if level > 0 {
			return nil, fmt.Errorf("missing '}' after %s", shown(text))
		}
		field := text[:end]
		if len(fields) >= 8 && field[0] == '{' {
			inner, rest, _ := balanced(field)
			if rest != "" {
				return nil, fmt.Errorf("unexpected text after '}': %s", shown(rest))
			}
			field = trimSpace(inner)
		}
		fields = append(fields, field)
		text = text[end:]
	}
}
