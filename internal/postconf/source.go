package postconf

import "strings"

// Source is the parameter that gave another one its value: itself when it is set,
// otherwise the one that its default names ("$virtual_mailbox_maps"), if that is set.
func (c *Config) Source(name string) string {
	for at := name; ; {
		if c.Set(at) {
			return at
		}
		p := c.param(at)
		if p == nil {
			return name
		}
		next, refers := strings.CutPrefix(p.Default, "$")
		if !refers || c.table[next] == nil || next == at {
			return name
		}
		at = next
	}
}
