package postconf

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
)

// LoadOptions say what to read.
type LoadOptions struct {
	Dir     string   // configuration directory
	Environ []string // as os.Environ gives it; only POSTFIX_name=value matters
	System  System
}

// Load reads a configuration and checks it. What cannot work is an *Error.
func Load(o LoadOptions) (*Config, error) {
	c, err := Read(o)
	if err != nil {
		return nil, err
	}
	if err := c.Check(); err != nil {
		return nil, err
	}
	return c, nil
}

// Read reads a configuration and checks its syntax only: enough to show it.
func Read(o LoadOptions) (*Config, error) {
	c := Defaults(o)
	file := filepath.Join(o.Dir, "main.cf")
	data, err := c.machine.read(file)
	if err != nil {
		return nil, unreadable(file, err)
	}
	set, warnings, err := parseMain(file, data)
	if err != nil {
		return nil, err
	}
	c.set, c.noted = set, warnings
	c.readEnvironment(o.Environ)
	return c, c.readMaster(filepath.Join(o.Dir, "master.cf"))
}

// Defaults is the configuration in which nothing is set.
func Defaults(o LoadOptions) *Config {
	return &Config{
		dir: o.Dir, machine: newMachine(o.System), table: newParams(),
		set: make(map[string]setting), noMaster: true,
	}
}

// readEnvironment takes POSTFIX_name=value, as popular container images do. A name
// without any lower-case letter is no parameter: Kubernetes makes POSTFIX_PORT and the
// like for a service of that name.
func (c *Config) readEnvironment(environ []string) {
	for _, e := range environ {
		name, value, ok := strings.Cut(e, "=")
		name, ours := strings.CutPrefix(name, "POSTFIX_")
		if ok && ours && strings.ToUpper(name) != name {
			c.set[name] = setting{trimSpace(value), place{file: "environment"}}
		}
	}
}

// readMaster reads master.cf if there is one. Without it there is one listener.
func (c *Config) readMaster(file string) error {
	data, err := c.machine.read(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return unreadable(file, err)
	}
	services, warnings, err := parseMaster(file, data)
	if err != nil {
		return err
	}
	c.services, c.noMaster = services, false
	c.noted = append(c.noted, warnings...)
	return nil
}

func unreadable(file string, err error) *Error {
	var detail *fs.PathError
	if errors.As(err, &detail) {
		err = detail.Err
	}
	remedy := "make it readable for the account that starts aliasmx"
	if errors.Is(err, fs.ErrNotExist) {
		remedy = "create it, or name another configuration directory with -c"
	}
	return &Error{File: file, Reason: "cannot be read: " + err.Error(), Remedy: remedy}
}
