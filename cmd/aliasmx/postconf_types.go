package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"runtime"

	"aliasmx/internal/postconf"
	"aliasmx/internal/table"
)

// What postconf(1) says of the program rather than of its configuration: -m -l -a -A -T.

func postconfTypes(o postconfOptions, _ environ, out io.Writer, _ func(string)) error {
	list, err := o.types()
	if err != nil {
		return err
	}
	for _, name := range list {
		if _, err := fmt.Fprintln(out, name); err != nil {
			return err
		}
	}
	return nil
}

func (o *postconfOptions) types() ([]string, error) {
	switch {
	case o.has('m'):
		return table.Types(table.Options{Types: tableTypes()}), nil
	case o.has('l'):
		return []string{"flock"}, nil // what configuration and tables are locked with
	case o.has('T'):
		return tlsFacts(o.tls)
	}
	return nil, nil // -a, -A
}

// tlsFacts are of the library that TLS is made with: Go's own, part of the program.
func tlsFacts(mode string) ([]string, error) {
	switch mode {
	case "compile-version", "run-version":
		return []string{"crypto/tls " + runtime.Version() + ", up to " + tls.VersionName(tls.VersionTLS13)}, nil
	case "public-key-algorithms":
		return []string{"ecdsa", "ed25519", "rsa"}, nil
	}
	return nil, fmt.Errorf("unknown 'postconf -T' mode: %s", mode)
}

// postconfEditMaster changes master.cf.
func postconfEditMaster(o postconfOptions, _ environ, _ io.Writer, warn func(string)) error {
	item := postconf.WholeServices
	switch {
	case o.has('F'):
		item = postconf.Fields
	case o.has('P'):
		item = postconf.Overrides
	}
	unmatched, err := postconf.EditMaster(o.dir, item, o.editMode(), o.names)
	for _, arg := range unmatched {
		warn(fmt.Sprintf("unmatched service_name/type: %q", arg))
	}
	return err
}
