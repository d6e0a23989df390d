package postconf

import (
	"errors"
	"strings"
)

// ExpandText replaces each $name in a text that is no value of main.cf, such as a line of a
// template (bounce(5)): by what own says, and else by the parameter. A name that nobody
// gave a value is an error, but not where ${name?...} or ${name:...} asks for that.
func (c *Config) ExpandText(text string, own func(name string) (value string, ok bool, err error)) (string, error) {
	t, err := parseTemplate(text)
	if err != nil {
		return "", errors.New("bad $name syntax")
	}
	x := c.expander()
	values, finish := x.lookup, x.finish
	special := make(map[string]bool)
	x.lookup = func(name string) (string, error) {
		value, ok, err := own(name)
		if special[name] = ok; ok || err != nil {
			return strings.ReplaceAll(value, "$", "$$"), err
		}
		return values(name)
	}
	x.finish = func(name, value string) (string, error) {
		if special[name] {
			return value, nil
		}
		return finish(name, value)
	}
	for _, p := range t {
		if p.name == "" || p.chosen || c.Set(p.name) || c.param(p.name) != nil {
			continue
		}
		if _, ok, err := own(p.name); err != nil {
			return "", err
		} else if !ok {
			return "", errors.New("undefined $name")
		}
	}
	return x.template(t)
}
