package local

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

// includeLimit bounds an :include: file, so that a wrong one cannot fill the memory. A
// list of half a million addresses still fits.
const includeLimit = 32 << 20

// include delivers to what an :include: file holds. The file may be reached through a
// symbolic link; it must be a regular file that not everybody may write to.
func (d *delivery) include(st state, path string) bool {
	st.level++
	if st.level > nesting {
		d.warn(":include: nesting limit exceeded for %s", path)
		return d.fails(st, mail.Code(5, 4, 6), ":include: nesting limit exceeded")
	}
	if _, before := d.been("include %d %s", st.rights.UID, path); before {
		return false
	}
	st.expanding = st.local
	if !strings.HasPrefix(path, "/") {
		return d.misconfigured(st, ":include:%s uses a relative path", path)
	}
	var info os.FileInfo
	var text []byte
	var statErr, openErr, readErr error
	err := d.as(st.rights, func() {
		if info, statErr = os.Stat(path); statErr != nil || !info.Mode().IsRegular() {
			return
		}
		var f *os.File
		if f, openErr = os.Open(path); openErr != nil {
			return
		}
		defer f.Close()
		text, readErr = io.ReadAll(io.LimitReader(f, includeLimit+1))
	})
	switch {
	case err != nil:
		return d.cannotBecome(st, "read :include: file "+path, err)
	case st.rights.UID == 0 && d.self != 0 && (errors.Is(statErr, fs.ErrPermission) || errors.Is(openErr, fs.ErrPermission)):
		// Root's aliases may name files that only root can read. That we are not root is no
		// fault of the list's.
		d.warn("cannot read :include: file %s: only root can, and the mail system does not run as root", path)
		return d.fails(st, mail.Code(4, 3, 5), "cannot read :include: file %s: the mail system does not run as root", path)
	case statErr != nil:
		return d.misconfigured(st, "unable to lookup :include: file %s: %s", path, reasonOf(statErr))
	case !info.Mode().IsRegular():
		return d.misconfigured(st, ":include: file %s is not a regular file", path)
	case info.Mode().Perm()&0o002 != 0:
		return d.misconfigured(st, ":include: file %s is world writable", path)
	case openErr != nil:
		return d.misconfigured(st, "cannot open include file %s: %s", path, reasonOf(openErr))
	}
	if readErr == nil && len(text) > includeLimit {
		readErr = fmt.Errorf("it is larger than %d bytes", includeLimit)
	}
	if readErr != nil {
		return d.fails(st, mail.Code(4, 3, 0), "error reading forwarding file: %s", reasonOf(readErr))
	}
	d.step(":include:%s holds %d bytes", path, len(text))
	st.source = fromInclude
	// A file of somebody in an alias of root's acts with the rights of its owner, who must
	// not get hold of default_privs. In an alias of a user it changes nothing.
	if uid, ok := ownerOfFile(info); st.rights.UID == 0 && ok && uid != 0 {
		u, err := d.UserByID(uid)
		if err != nil {
			d.warn("%s: cannot find :include: file owner username: %v", path, err)
			return d.fails(st, mail.Code(4, 3, 5), "mail system configuration error")
		}
		st.rights = u
	}
	if st.owner == "" {
		st.owner = st.rcpt.Internal()
	}
	if !d.PropagateInclude {
		st.unmatched = ""
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		waits := false
		for _, t := range table.AliasTargets(line) {
			waits = d.target(st, t) || waits
		}
		if waits {
			return true
		}
	}
	return false
}

// reasonOf is the system's words for what went wrong, without the name of the file.
func reasonOf(err error) string {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		err = e.Err
	}
	return strerror(err)
}
