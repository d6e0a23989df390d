package postconf

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Config is a configuration that was read: main.cf, master.cf and the environment. It
// does not change and is safe for concurrent use.
//
// The getters expand the value. They never fail: what Check passed expands and is of
// its type.
type Config struct {
	dir      string
	machine  *machine
	table    params
	set      map[string]setting
	services []Service
	noMaster bool     // there is no master.cf
	noted    []string // warnings from reading the files
}

// Dir is the configuration directory.
func (c *Config) Dir() string { return c.dir }

// Set tells whether a parameter has a value other than by default.
func (c *Config) Set(name string) bool {
	_, ok := c.set[name]
	return ok
}

// Where says where a parameter's value comes from: "main.cf, line 12", "environment",
// "default", or what Override was told.
func (c *Config) Where(name string) string {
	if s, ok := c.set[name]; ok {
		return s.String()
	}
	return "default"
}

// Services are the services of master.cf, in its order.
func (c *Config) Services() []Service { return c.services }

// Get is the value of a parameter, with every $name in it replaced. A choice is in
// lower case, however it was written.
func (c *Config) Get(name string) string {
	read := c.expander().parameter
	if slices.Contains(rawParams, name) {
		read = c.expander().lookup
	}
	value, err := read(name)
	if err != nil {
		return ""
	}
	if p := c.table[name]; p != nil && (p.Type.form == formChoice || p.Type.form == formSet) {
		return strings.ToLower(value)
	}
	return value
}

// Bool is the value of a parameter that is yes or no.
func (c *Config) Bool(name string) bool {
	value, _ := parseBool(c.Get(name))
	return value
}

// Int is the value of a parameter that is a number, or the name of a port.
func (c *Config) Int(name string) int {
	if p := c.table[name]; p != nil && p.Type.form == formPort {
		port, _ := c.port(c.Get(name))
		return port
	}
	return int(c.Int64(name))
}

// Int64 is the value of a parameter that is a number of bytes.
func (c *Config) Int64(name string) int64 {
	n, _ := strconv.ParseInt(c.Get(name), 10, 64)
	return n
}

// Duration is the value of a parameter that is a time.
func (c *Config) Duration(name string) time.Duration {
	d, _ := parseTime(c.Get(name), c.unit(name))
	return d
}

// List is a value taken apart at commas and white space. What stands in braces is one
// element; an element "/file" is not read.
func (c *Config) List(name string) []string { return splitList(c.Get(name)) }

func (c *Config) unit(name string) byte {
	if p := c.table[name]; p != nil {
		return defaultUnit(p.Default)
	}
	return 's'
}

// With is the configuration with other values for some parameters, unchecked. where
// says where they come from.
func (c *Config) With(pairs map[string]string, where string) *Config {
	set := make(map[string]setting, len(pairs))
	for name, value := range pairs {
		set[name] = setting{value, place{file: where}}
	}
	return c.with(set)
}

func (c *Config) with(set map[string]setting) *Config {
	other := *c
	other.set = maps.Clone(c.set)
	maps.Copy(other.set, set)
	return &other
}

// Override is With, and fails if a value cannot work.
func (c *Config) Override(pairs map[string]string, where string) (*Config, error) {
	other := c.With(pairs, where)
	if err := other.checkValues(); err != nil {
		return nil, err
	}
	return other, nil
}

// expander returns one for a single request to this configuration.
func (c *Config) expander() *expander {
	x := &expander{finish: c.finish}
	x.lookup = func(name string) (string, error) { return c.written(x, name) }
	return x
}

// written is a parameter's value before expansion.
func (c *Config) written(x *expander, name string) (string, error) {
	if s, ok := c.set[name]; ok {
		return s.value, nil
	}
	return c.defaultValue(x, name)
}

func (c *Config) defaultValue(x *expander, name string) (string, error) {
	if value, ok, err := c.computed(x, name); ok {
		return value, err
	}
	if p := c.param(name); p != nil {
		return p.Default, nil
	}
	return "", nil
}

// param finds a parameter in the table, or among those of a transport in master.cf.
func (c *Config) param(name string) *Param {
	if p := c.table[name]; p != nil {
		return p
	}
	p := ofTransport(name, c.transports())
	if p != nil && p.Doc != "" && c.shapes(name) {
		p.Kind = Postfix
	}
	return p
}

// transports are the delivery services: those that always are, and those of master.cf.
func (c *Config) transports() []string {
	names := slices.Clone(ownTransports)
	for _, s := range c.services {
		if s.Type == "unix" {
			names = append(names, s.Name)
		}
	}
	return names
}

// finish finishes a value. It gives myorigin its own: Debian's Postfix takes the first line of a file
// if it is the name of one.
func (c *Config) finish(name, value string) (string, error) {
	if name != "myorigin" || !filepath.IsAbs(value) {
		return c.within(name, value), nil
	}
	data, err := c.machine.read(value)
	if err != nil {
		return "", fmt.Errorf("cannot read the file that myorigin names: %w", err)
	}
	first, _, _ := strings.Cut(string(data), "\n")
	if first = trimSpace(first); first == "" {
		return "", fmt.Errorf("the first line of %s, which myorigin names, is empty", value)
	}
	return first, nil
}
