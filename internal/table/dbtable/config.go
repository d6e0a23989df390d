package dbtable

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"aliasmx/internal/table"
)

// Config is a .cf file: "name = value" in the format of main.cf, but $ has no meaning.
// The methods that read a parameter remember the first fault; Err tells it. A parameter
// that nobody has read is one that does not exist.
type Config struct {
	File string
	// Warn takes what the operator should know.
	Warn func(msg string)

	params map[string]param
	known  map[string]bool
	err    error
}

type param struct {
	value string
	line  int
}

// ReadConfig reads a .cf file. Messages about it never show a value: it may be a
// password.
func ReadConfig(file string, warn func(string)) (*Config, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, table.FileError("open", file, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, table.FileError("open", file, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("open %s: not a regular file", file)
	}
	c := &Config{File: file, Warn: warn, params: map[string]param{}, known: map[string]bool{}}
	// The warnings of the line reader quote the line.
	hidden := func(string) {
		warn(file + ": a line begins with whitespace or holds a null byte; some text is ignored")
	}
	if err := table.EachLine(f, file, hidden, c.add); err != nil {
		return nil, err
	}
	const othersRead = 0o004
	if info.Mode()&othersRead != 0 && c.hasSecret() {
		warn(fmt.Sprintf("%s holds a password and can be read by every user of this machine; chmod 640 it, and give it to the group that the daemon runs as", file))
	}
	return c, nil
}

// add takes one logical line apart.
func (c *Config) add(text string, line int) error {
	name, value, ok := strings.Cut(text, "=")
	name = strings.Trim(name, spaces)
	why := ""
	switch {
	case name == "":
		why = "missing attribute name"
	case !ok || strings.ContainsAny(name, spaces):
		why = "missing '=' after attribute name"
	}
	if why != "" {
		return fmt.Errorf(`%s, line %d: %s; need "name = value"`, c.File, line, why)
	}
	value = strings.Trim(value, spaces)
	if old, ok := c.params[name]; ok && old.value != value {
		c.Warn(fmt.Sprintf("%s, line %d: overriding earlier entry: %s, line %d", c.File, line, name, old.line))
	}
	c.params[name] = param{value, line}
	return nil
}

// spaces is what isspace(3) calls white, separators what lists have between words.
const (
	spaces     = " \t\n\v\f\r"
	separators = ", \t\r\n"
)

func (c *Config) hasSecret() bool {
	for _, name := range []string{"password", "bind_pw"} {
		if c.params[name].value != "" {
			return true
		}
	}
	return strings.Contains(c.params["hosts"].value, "://") // a connection URI holds one
}

// Has tells whether a parameter is there with a value.
func (c *Config) Has(name string) bool {
	c.known[name] = true
	return c.params[name].value != ""
}

// Str is a parameter that may be empty.
func (c *Config) Str(name, otherwise string) string {
	c.known[name] = true
	if p, ok := c.params[name]; ok {
		return p.value
	}
	return otherwise
}

// Text is a parameter that must not be empty.
func (c *Config) Text(name, otherwise string) string {
	value := c.Str(name, otherwise)
	if value == "" {
		if _, ok := c.params[name]; ok {
			c.Fail(name, "must not be empty")
		} else {
			c.Fail(name, "is missing")
		}
	}
	return value
}

// Int is a number of at least min.
func (c *Config) Int(name string, otherwise, least int) int {
	c.known[name] = true
	p, ok := c.params[name]
	if !ok {
		return otherwise
	}
	n, err := strconv.ParseInt(p.value, 10, 32)
	if err != nil {
		c.Fail(name, `bad numerical value "%.40s"`, p.value)
	} else if int(n) < least {
		c.Fail(name, "invalid value %d < %d", n, least)
	}
	return int(n)
}

// Bool is yes or no.
func (c *Config) Bool(name string, otherwise bool) bool {
	c.known[name] = true
	p, ok := c.params[name]
	switch {
	case !ok:
		return otherwise
	case strings.EqualFold(p.value, "yes"):
		return true
	case !strings.EqualFold(p.value, "no"):
		c.Fail(name, `bad boolean value "%.40s"; need yes or no`, p.value)
	}
	return false
}

// List is words with whitespace or commas between.
func (c *Config) List(name string) []string {
	return strings.FieldsFunc(c.Str(name, ""), func(r rune) bool { return strings.ContainsRune(separators, r) })
}

// Ignore accepts parameters that have no effect here.
func (c *Config) Ignore(names ...string) {
	for _, name := range names {
		c.known[name] = true
	}
}

// Refuse fails when a parameter is set that would have to have an effect.
func (c *Config) Refuse(name, why string) {
	if c.Has(name) {
		c.Fail(name, "%s", why)
	}
}

// Fail says what is wrong with a parameter.
func (c *Config) Fail(name, format string, args ...any) {
	if c.err != nil {
		return
	}
	where := c.File
	if p, ok := c.params[name]; ok {
		where = fmt.Sprintf("%s, line %d", c.File, p.line)
	}
	c.err = fmt.Errorf("%s: %s: %s", where, name, fmt.Sprintf(format, args...))
}

// Err is the first fault, once every parameter has been read.
func (c *Config) Err() error {
	if c.err != nil {
		return c.err
	}
	first := param{line: -1}
	unknown := ""
	for name, p := range c.params {
		if !c.known[name] && (first.line < 0 || p.line < first.line) {
			first, unknown = p, name
		}
	}
	if unknown == "" {
		return nil
	}
	return fmt.Errorf("%s, line %d: unknown parameter %.60q for a table of this type", c.File, first.line, unknown)
}

// Lookup is a parameter, and whether the file has it.
func (c *Config) Lookup(name string) (value string, set bool) {
	c.known[name] = true
	p, ok := c.params[name]
	return p.value, ok
}
