package postconf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// MasterItem is what of master.cf an edit is about.
type MasterItem int

const (
	WholeServices MasterItem = iota // -M
	Fields                          // -F
	Overrides                       // -P
)

// masterEdit is one argument of postconf -Me, -Fe, -Pe, -MX, -PX or -M#.
type masterEdit struct {
	raw     string
	pattern ServicePattern
	value   string
	field   int      // -F
	service *Service // -Me: what value says
	matched int
}

// EditMaster changes master.cf as postconf(1) does with -M, -F and -P: arguments are
// "name/type[/item]=value", or only the pattern where something is taken out. Lines of
// other services stay as they are; comments between the lines of a changed service come
// before it, as Postfix puts them. The file is replaced as a whole or not at all. It
// returns the arguments that matched no service and had no effect.
func EditMaster(dir string, item MasterItem, mode EditMode, args []string) (unmatched []string, err error) {
	edits := make([]masterEdit, 0, len(args))
	for _, arg := range args {
		e, err := parseMasterEdit(item, mode, arg)
		if err != nil {
			return nil, err
		}
		edits = append(edits, e)
	}
	target, err := filepath.EvalSymlinks(filepath.Join(dir, "master.cf"))
	if err != nil {
		return nil, err
	}
	unlock, err := lockDirectory(filepath.Dir(target))
	if err != nil {
		return nil, err
	}
	defer unlock()
	old, err := os.ReadFile(target)
	if err != nil {
		return nil, err
	}
	m := masterEditor{item: item, mode: mode, edits: edits, file: target}
	data, err := m.edited(string(old))
	if err != nil {
		return nil, err
	}
	for _, e := range m.edits {
		if e.matched == 0 && item != WholeServices {
			unmatched = append(unmatched, e.raw)
		}
	}
	return unmatched, replaceFile(target, []byte(data))
}

func parseMasterEdit(item MasterItem, mode EditMode, arg string) (e masterEdit, err error) {
	e.raw = arg
	text := trimSpace(arg)
	switch {
	case strings.ContainsAny(arg, "\n\x00"):
		return e, errors.New("-Me, -Fe, -Pe, -X, or -# accept no multi-line input")
	case strings.HasPrefix(text, "#"):
		return e, errors.New("-Me, -Fe, -Pe, -X, or -# accept no comment input")
	}
	pattern, value, assigns := strings.Cut(text, "=")
	if assigns != (mode == Assign) {
		if assigns {
			return e, errors.New("-X or -# requires names without value")
		}
		return e, fmt.Errorf("missing '=' after attribute name: %q", arg)
	}
	e.value = trimSpace(value)
	parts, form := 3, ""
	switch item {
	case WholeServices:
		parts, form = 2, "-Me, -MX or -M# requires service_name/type"
	case Fields:
		form = "-Fe or -FX requires service_name/type/field_name"
	case Overrides:
		form = "-Pe or -PX requires service_name/type/parameter"
	}
	var ok bool
	if e.pattern, ok = ParseServicePattern(trimSpace(pattern), parts, parts); !ok {
		return e, errors.New(form)
	}
	return e, e.checkValue(item, mode)
}

func (e *masterEdit) checkValue(item MasterItem, mode EditMode) (err error) {
	blank := strings.ContainsAny(e.value, space)
	switch item {
	case WholeServices:
		if mode != Assign {
			return nil
		}
		s, err := editedService(e.value, e.raw)
		e.service = &s
		return err
	case Fields:
		e.field, err = fieldIndex(e.pattern.Item)
		switch {
		case err != nil:
			return err
		case e.field < 0:
			return errors.New("-Fe does not accept wild-card field name")
		case blank && e.field != commandField:
			return errors.New("-Fe does not accept whitespace in non-command field")
		}
	case Overrides:
		switch {
		case e.pattern.Item == "*":
			return errors.New("-Pe does not accept wild-card parameter name")
		case blank:
			return errors.New("-Pe does not accept whitespace in parameter value")
		}
	}
	return nil
}

// editedService reads a line that an edit makes; raw is the argument that made it.
func editedService(line, raw string) (Service, error) {
	fields, err := masterFields(line)
	if err == nil && len(fields) < 8 {
		err = errors.New("bad field count")
	}
	if err != nil {
		return Service{}, fmt.Errorf("%w: %q", err, raw)
	}
	s, err := parseService(place{file: "master.cf"}, line)
	if e, ok := errors.AsType[*Error](err); ok {
		return s, fmt.Errorf("%s in %q", e.Reason, raw)
	}
	return s, err
}

type masterEditor struct {
	item  MasterItem
	mode  EditMode
	edits []masterEdit
	file  string

	out strings.Builder
}

// edited is master.cf with the edits made.
func (m *masterEditor) edited(old string) (string, error) {
	var section []string // lines from the first of a service up to the next service
	first, line := 1, 0
	for text := range strings.Lines(old) {
		line++
		if !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		if isContent(text) && !isSpace(text[0]) {
			if err := m.section(section, first); err != nil {
				return "", err
			}
			section, first = section[:0], line
		}
		section = append(section, text)
	}
	if err := m.section(section, first); err != nil {
		return "", err
	}
	for i := range m.edits {
		if e := &m.edits[i]; e.matched == 0 && e.service != nil {
			m.write(*e.service)
		}
	}
	return m.out.String(), nil
}

func isContent(line string) bool {
	content := strings.TrimLeft(line, space)
	return content != "" && content[0] != '#'
}

// section writes the lines of one service, and the comments up to the next.
func (m *masterEditor) section(lines []string, first int) error {
	if len(lines) == 0 || !isContent(lines[0]) {
		m.copy(lines) // what stands above the first service
		return nil
	}
	var content strings.Builder
	var comments []string
	for _, l := range lines {
		if isContent(l) {
			content.WriteString(l)
		} else {
			comments = append(comments, l)
		}
	}
	s, err := parseService(place{m.file, first}, content.String())
	if err != nil {
		return err
	}
	out, matched, err := m.apply(s)
	switch {
	case err != nil:
		return err
	case !matched:
		m.copy(lines)
	case m.mode == CommentOut:
		for _, l := range lines {
			if isContent(l) {
				l = "#" + l
			}
			m.out.WriteString(l)
		}
	case m.item == WholeServices:
		if out != nil {
			m.write(*out)
		}
		m.copy(comments)
	default:
		m.copy(comments)
		m.write(*out)
	}
	return nil
}

// apply makes the edits that are about a service: what it is then, nil when it is gone.
func (m *masterEditor) apply(s Service) (out *Service, matched bool, err error) {
	if m.item != WholeServices {
		out = &s
	}
	for i := range m.edits {
		e := &m.edits[i]
		// A new definition takes the place of the one that it names, too.
		if !e.pattern.matches(s) && (e.service == nil || e.service.Name != s.Name || e.service.Type != s.Type) {
			continue
		}
		matched = true
		e.matched++
		switch m.item {
		case WholeServices:
			if e.matched == 1 && e.service != nil {
				out = e.service
			}
		case Fields:
			*out, err = out.withField(e)
		case Overrides:
			out.setOverride(e, m.mode == Exclude)
		}
		if err != nil {
			return nil, false, err
		}
	}
	return out, matched, nil
}

// withField is the service with another value for a field.
func (s Service) withField(e *masterEdit) (Service, error) {
	if e.field != commandField {
		*s.fields()[e.field] = e.value
	}
	var line strings.Builder
	for _, field := range s.fields()[:commandField] {
		line.WriteString(*field + " ")
	}
	if e.field == commandField {
		return editedService(line.String()+e.value, e.raw)
	}
	_, err := editedService(line.String()+s.Command, e.raw)
	return s, err
}

// setOverride gives a parameter a value by -o, wherever the service sets it, or takes it
// out. A new one comes after the options that are there.
func (s *Service) setOverride(e *masterEdit, exclude bool) {
	name := e.pattern.Item
	isOverride := func(a argument) bool {
		set, _, _ := strings.Cut(a.text, "=")
		return a.override && set == name
	}
	if exclude {
		s.arguments = slices.DeleteFunc(slices.Clone(s.arguments), isOverride)
		return
	}
	setting := argument{name + "=" + e.value, true}
	found, end := false, 0
	for i := range s.arguments {
		if isOverride(s.arguments[i]) {
			s.arguments[i], found = setting, true
		}
		if s.arguments[i].override {
			end = i + 1
		}
	}
	if found {
		return
	}
	// Options that are not -o may stand behind the last -o.
	for end < len(s.arguments) {
		option, isOption := strings.CutPrefix(s.arguments[end].text, "-")
		if !isOption || option == "" || option == "-" {
			break
		}
		if end++; takesArgument(option) && end < len(s.arguments) {
			end++
		}
	}
	s.arguments = slices.Insert(slices.Clone(s.arguments), end, setting)
}

func (m *masterEditor) copy(lines []string) {
	for _, l := range lines {
		m.out.WriteString(l)
	}
}

// write never fails: nothing is expanded.
func (m *masterEditor) write(s Service) {
	nothing := &Config{set: make(map[string]setting)}
	_ = nothing.printService(&m.out, s, PrintOptions{Fold: true})
}
