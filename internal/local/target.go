package local

import (
	"slices"
	"strings"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

const includePrefix = ":include:"

// target delivers to one of the things that an alias or an :include: file holds.
func (d *delivery) target(st state, t table.AliasTarget) bool {
	text := t.Text
	switch {
	case strings.HasPrefix(text, "/"):
		return d.file(st, text)
	case strings.HasPrefix(text, "~"):
		return d.home(st, text)
	case strings.HasPrefix(text, "|"):
		if !slices.Contains(d.AllowCommands, string(st.source)) {
			return d.fails(st, mail.Code(5, 7, 1), "mail to command is restricted")
		}
		return d.command(st, text[1:])
	case len(text) >= len(includePrefix) && strings.EqualFold(text[:len(includePrefix)], includePrefix):
		return d.include(st, text[len(includePrefix):])
	}
	return d.address(st, addressOf(t))
}

// home is a file below the home directory of whose rights are used.
func (d *delivery) home(st state, text string) bool {
	if !strings.HasPrefix(text, "~/") {
		return d.misconfigured(st, "bad home directory syntax for: %s", text)
	}
	if st.rights.Home == "" {
		return d.misconfigured(st, "unknown home directory for: %s", text)
	}
	return d.file(st, strings.TrimSuffix(st.rights.Home, "/")+text[1:])
}

// acting are the rights with which something is done: those of an alias, or default_privs.
func (d *delivery) acting(st state) User {
	if st.rights.UID == 0 {
		return d.DefaultPrivs
	}
	if st.rights.GID == 0 {
		u := st.rights
		u.GID = d.DefaultPrivs.GID
		return u
	}
	return st.rights
}
