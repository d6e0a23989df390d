package table

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// What postmap(1) says of a table that it cannot build or change, by the type: the
// words are those of the library that Postfix has for the type.

// errCDBUpdate is said of any change to a cdb file but its building.
var errCDBUpdate = errors.New("dict_cdb_open: inappropriate open flags for cdb database - specify O_RDONLY or O_WRONLY|O_CREAT|O_TRUNC")

func (o BuildOptions) cannotBuild(typ, path string) error {
	switch {
	case openers(o.options())[typ] == nil:
		return unsupported(typ, o.options())
	case typ == "fail":
		return fmt.Errorf("table fail:%s: write error: Application error", path)
	}
	return fmt.Errorf("unsupported dictionary type: %s does not support bulk-mode creation.", typ)
}

func (o BuildOptions) cannotDelete(typ, path string) error {
	name := typ + ":" + path
	switch {
	case openers(o.options())[typ] == nil:
		return unsupported(typ, o.options())
	case typ == "cdb":
		return errCDBUpdate
	case typ == "fail":
		return fmt.Errorf("table %s: delete error: Application error", name)
	case typ == "static", typ == "environ":
		return fmt.Errorf("table %s: delete operation is not supported", name)
	}
	return fmt.Errorf("%s map requires O_RDONLY access mode", name)
}

// throughProxy takes proxy: off. Postfix asks proxywrite(8) to make a change; here
// whoever runs the command makes it, with the rights that he has.
func throughProxy(spec string) string { return strings.TrimPrefix(spec, "proxy:") }

// warnOfOwner tells root that he makes a file of his own where somebody else may put
// another in its place.
func (o BuildOptions) warnOfOwner(path string) {
	if !o.AsOwner || os.Getuid() != 0 {
		return
	}
	dir := filepath.Dir(path)
	var source, parent unix.Stat_t
	if unix.Stat(path, &source) != nil || source.Uid != 0 || unix.Stat(dir, &parent) != nil || parent.Uid == 0 {
		return
	}
	o.options().warnf("Creating root-owned database file(s) %s.* in non-root-owned directory %s. "+
		"Files %s, %s.*, and directory %s should have the same owner. "+
		"Please fix ownership to avoid a privilege-escalation attack.", path, dir, path, path, dir)
}

// ShownName is what Postfix's messages call a table: by its index file, where the
// library that it has for the type adds the suffix.
func ShownName(t Table) string {
	if s, ok := t.(interface{ shown() string }); ok {
		return s.shown()
	}
	return t.Name()
}
