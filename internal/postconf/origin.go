package postconf

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// origin is the parameter that one has its value from, by $name: the last one on the way
// that is set, first where there are several; "": none but itself.
func (c *Config) origin(name string) string {
	seen := []string{name}
	var find func(name string) string
	find = func(name string) (from string) {
		raw, err := c.written(c.expander(), name)
		if err != nil || !strings.Contains(raw, "$") {
			return ""
		}
		t, err := parseTemplate(raw)
		if err != nil {
			return ""
		}
		t.references(func(next string) {
			if from != "" || slices.Contains(seen, next) {
				return
			}
			seen = append(seen, next)
			if from = find(next); from == "" && c.Set(next) {
				from = next
			}
		})
		return from
	}
	return find(name)
}

// failValue is the error of a value of the wrong type: where it is written, also where it
// comes from another parameter.
func (c *Config) failValue(name string, m *mistake) *Error {
	from := c.origin(name)
	switch {
	case from == "":
		return c.place(name).fail(name+": "+m.reason, m.remedy)
	case c.Set(name):
		return c.place(name).fail(name+" (by $"+from+", "+c.Where(from)+"): "+m.reason, m.remedy)
	}
	return c.place(from).fail(from+": it is the default of "+name+", for which "+m.reason, m.remedy+", or set "+name)
}

// within puts a number or time that a parameter has by default from another one into the
// range of its own: nobody has asked for it.
func (c *Config) within(name, value string) string {
	if c.Set(name) {
		return value
	}
	p := c.param(name)
	if p == nil || !strings.Contains(p.Default, "$") {
		return value
	}
	switch p.Type.form {
	case formNumber:
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && p.Type.clamp(n) != n {
			return strconv.FormatInt(p.Type.clamp(n), 10)
		}
	case formTime:
		if d, err := parseTime(value, defaultUnit(p.Default)); err == nil {
			if s := int64(d / time.Second); p.Type.clamp(s) != s {
				return strconv.FormatInt(p.Type.clamp(s), 10) + "s"
			}
		}
	}
	return value
}

func (t Type) clamp(n int64) int64 {
	if n = max(n, t.min); t.max > 0 {
		n = min(n, t.max)
	}
	return n
}
