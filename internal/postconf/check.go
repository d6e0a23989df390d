package postconf

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Check tells whether the configuration can work, as far as its text shows: values of
// the right type, no restriction that we do not have, service names that stand for
// addresses. What cannot work is an *Error.
func (c *Config) Check() error {
	if err := c.checkGuards(); err != nil {
		return err
	}
	if err := c.checkValues(); err != nil {
		return err
	}
	_, err := c.Listeners()
	return err
}

// checkValues expands every parameter and holds it against its type, in the order of
// the files, so that the first fault is named.
func (c *Config) checkValues() error {
	x := c.expander()
	for _, name := range c.setNames() {
		if err := c.checkValue(x, name); err != nil {
			return err
		}
	}
	// A default may be wrong as well: by what it refers to.
	var unset []string
	for name, p := range c.table {
		if (p.Kind == Postfix || p.Kind == Ours) && !c.Set(name) {
			unset = append(unset, name)
		}
	}
	slices.Sort(unset)
	for _, name := range unset {
		if err := c.checkValue(x, name); err != nil {
			return err
		}
	}
	return nil
}

// rawParams are not expanded as a whole: what they refer to is known only when they
// are used (postconf(5): default_rbl_reply and others).
var rawParams = []string{
	"default_rbl_reply", "smtpd_expansion_filter", "smtpd_reject_footer",
	"postscreen_expansion_filter", "postscreen_reject_footer",
}

func (c *Config) checkValue(x *expander, name string) error {
	if slices.Contains(rawParams, name) {
		return nil
	}
	at := c.place(name)
	value, err := x.parameter(name)
	if err != nil {
		return placed(err, at, name)
	}
	p := c.param(name)
	if p == nil || p.Kind == Unsupported || p.Kind == Plumbing {
		return nil
	}
	if m := p.Type.check(value, defaultUnit(p.Default)); m != nil {
		return c.failValue(name, m)
	}
	if _, ok := c.port(value); p.Type.form == formPort && !ok {
		return at.fail(name+": "+shown(value)+" is not a port", "write a number from 1 to 65535, or a name from /etc/services")
	}
	return nil
}

// placed gives an error of expansion its place, unless it has one.
func placed(err error, at place, name string) error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return at.fail(name+": "+err.Error(), "correct the value")
}

// checkGuards finds parameters that were to restrict something and do not.
func (c *Config) checkGuards() error {
	used := c.references()
	for _, name := range c.setNames() {
		if err := c.checkGuard(name, used); err != nil {
			return err
		}
	}
	for _, s := range c.services {
		if s.external() {
			continue
		}
		of := c.forService(s)
		for _, o := range s.Overrides {
			if err := of.checkGuard(o.Name, used); err != nil {
				return err
			}
			if o.Value != "" && isSendingChecks(o.Name) && (s.Command == "smtp" || s.Command == "lmtp") {
				return s.place().fail(fmt.Sprintf("-o %s of service %s/%s is not supported, and something would stay in what is sent", o.Name, s.Name, s.Type),
					"set it in main.cf, for all services")
			}
		}
	}
	return nil
}

func (c *Config) checkGuard(name string, used map[string]bool) error {
	p := c.param(name)
	if p != nil && p.Kind != Unsupported || p == nil && used[name] {
		return nil
	}
	raw := c.set[name].value
	value, err := c.expander().text(raw)
	if err != nil {
		value = raw
	}
	if !c.restricts(name, value) {
		return nil
	}
	if p == nil {
		return c.place(name).fail("unknown parameter "+name+", whose name says that it restricts something",
			"correct the name, or remove the line")
	}
	return c.place(name).fail(fmt.Sprintf("%s = %s is not supported, and something would go unprotected", name, shortened(value)),
		cmp.Or(remedies[name], "remove the line if the mail system may run without"))
}

func shortened(value string) string {
	quoted := shown(value)
	return quoted[1 : len(quoted)-1]
}

// place is where a parameter is set; main.cf if it is not.
func (c *Config) place(name string) place {
	if s, ok := c.set[name]; ok {
		return s.place
	}
	return place{file: c.mainFile()}
}

// setNames are the names that have a value, in the order of their places.
func (c *Config) setNames() []string {
	names := make([]string, 0, len(c.set))
	for name := range c.set {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		p, q := c.set[a].place, c.set[b].place
		return cmp.Or(strings.Compare(p.file, q.file), p.line-q.line, strings.Compare(a, b))
	})
	return names
}
