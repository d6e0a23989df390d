package postconf

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Which parameters are of any use: what postconf(1) warns about, and what it shows of
// the names that an operator made up.

// Warnings are what is odd about the configuration without keeping it from working:
// one line each, without a "warning:" in front.
func (c *Config) Warnings() []string {
	list := slices.Clone(c.noted)
	used, effective := c.references(), c.effective()
	for _, name := range c.setNames() {
		s := c.set[name]
		p := c.param(name)
		switch {
		case p == nil && !used[name]:
			list = append(list, fmt.Sprintf("%s: unused parameter: %s=%s", s.file, name, s.value))
		case p != nil && p.Kind == Unsupported && s.value != "" && s.value != p.Default && !effective[name]:
			list = append(list, s.warn(name+" is not supported and has no effect"))
		}
		if p == nil && used[name] || p != nil && (p.Kind == Postfix || p.Kind == Ours) {
			list = append(list, c.undefined(s)...)
		}
	}
	for _, s := range c.services {
		list = append(list, c.serviceWarnings(s, used)...)
	}
	if !c.noMaster && !slices.ContainsFunc(c.services, Service.listens) {
		list = append(list, filepath.Join(c.dir, "master.cf")+": no inet service runs smtpd: nothing listens for mail")
	}
	return list
}

// serviceWarnings are about the -o of a service: those of a listener or a sender hold for
// it, those of another service never do, since there is no such process here.
func (c *Config) serviceWarnings(s Service, used map[string]bool) (list []string) {
	if s.external() {
		return nil
	}
	for _, o := range s.Overrides {
		p := c.param(o.Name)
		switch {
		case o.Value == "" || o.Name == "syslog_name" || p != nil && o.Value == p.Default:
		case p == nil && !used[o.Name]:
			list = append(list, fmt.Sprintf("%s: unused parameter: %s=%s", s.File, o.Name, o.Value))
		case p == nil || p.Kind == Plumbing:
		case p.Kind == Unsupported:
			list = append(list, s.place().warn(o.Name+" is not supported and has no effect"))
		case s.sends() && hasEffectOnSending(o.Name):
		case !s.readBy(o.Name):
			list = append(list, s.place().warn(fmt.Sprintf(
				"-o %s of service %s/%s has no effect: set it in main.cf", o.Name, s.Name, s.Type)))
		}
	}
	return list
}

// undefined are the names in a value that nobody gave one.
func (c *Config) undefined(s setting) (list []string) {
	t, err := parseTemplate(s.value)
	if err != nil {
		return nil
	}
	t.references(func(name string) {
		text := s.file + ": undefined parameter: " + name
		if !c.Set(name) && c.param(name) == nil && !slices.Contains(list, text) {
			list = append(list, text)
		}
	})
	return list
}

// references are the names that matter because a parameter refers to them: directly,
// or through names that were made up.
func (c *Config) references() map[string]bool {
	used := c.referredBy(func(*Param) bool { return true })
	for _, s := range c.services {
		for _, o := range s.Overrides {
			c.scan(o.Value, used)
		}
	}
	return used
}

// effective are the names that parameters with an effect refer to. So an old name such
// as virtual_maps, which a default mentions, has one too.
func (c *Config) effective() map[string]bool {
	return c.referredBy(func(p *Param) bool { return p.Kind == Postfix || p.Kind == Ours })
}

func (c *Config) referredBy(wanted func(*Param) bool) map[string]bool {
	used := make(map[string]bool)
	// Restriction classes are parameters that a list names, without a $.
	for _, class := range c.List("smtpd_restriction_classes") {
		used[class] = true
		c.scan(c.set[class].value, used)
	}
	for name, p := range c.table {
		if !wanted(p) {
			continue
		}
		if s, ok := c.set[name]; ok {
			c.scan(s.value, used)
		} else {
			c.scan(p.Default, used)
		}
	}
	for name, s := range c.set {
		if c.table[name] == nil {
			if p := c.param(name); p != nil && wanted(p) {
				c.scan(s.value, used)
			}
		}
	}
	return used
}

// scan adds the names in a value to used, and those in the values of made-up names.
func (c *Config) scan(value string, used map[string]bool) {
	if !strings.Contains(value, "$") {
		return
	}
	t, err := parseTemplate(value)
	if err != nil {
		return
	}
	t.references(func(name string) {
		if used[name] {
			return
		}
		used[name] = true
		if s, ok := c.set[name]; ok && c.param(name) == nil {
			c.scan(s.value, used)
		}
	})
}

func (c *Config) mainFile() string { return filepath.Join(c.dir, "main.cf") }
