package table

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Options are what a table or a list needs from outside. The zero value works.
type Options struct {
	// Warn gets what the operator should know although the table works, one sentence
	// without a line end. It may be called from Lookup, by several goroutines at once.
	Warn func(msg string)

	// Now is the clock; time.Now when nil.
	Now func() time.Time

	// NoFold takes keys as they are, as postmap(1) -f does.
	NoFold bool

	// NoUTF8 takes keys and values as bytes: postconf(5) smtputf8_enable = no.
	NoUTF8 bool

	// Subdomains says what a domain in a list matches beside itself. Lists only.
	Subdomains Subdomains

	// Env looks a variable of the environment up, for tables of type environ; without it
	// they cannot be opened.
	Env func(name string) (value string, found bool)

	// RemoteCacheTime is how long results of tables on other servers are kept:
	// remote_table_cache_time. Zero: not at all.
	RemoteCacheTime time.Duration

	// Aliases is for the tables of alias_maps: a source text has the form of aliases(5)
	// ("name: value"), and a pattern must not put parts of the key into its result, which
	// may be a command. postalias builds such tables.
	Aliases bool

	// Dup says what texthash does with a second entry of a key: postmap -r, -w.
	Dup DupPolicy

	// NullForm says which index files a lookup is for: postmap -n, -N.
	NullForm NullForm

	// Files takes the values of source texts as names of files, and what is in them,
	// in base64, as the values: postmap -F.
	Files bool

	// Types are openers of types that live in packages of their own, by type name.
	Types map[string]Opener
}

// Opener opens a table of one type. The argument is what follows "type:".
type Opener func(argument string, o Options) (Table, error)

// openers is every type there is.
func openers(o Options) map[string]Opener {
	all := map[string]Opener{
		"hash":      openIndexed("hash"),
		"btree":     openIndexed("btree"),
		"dbm":       openIndexed("dbm"),
		"lmdb":      openIndexed("lmdb"),
		"texthash":  openTexthash,
		"inline":    openInline,
		"static":    openStatic,
		"fail":      openFail,
		"regexp":    openRegexp,
		"pcre":      openPCRE,
		"cidr":      openCIDR,
		"unionmap":  openUnionmap,
		"pipemap":   openPipemap,
		"randmap":   openRandmap,
		"environ":   openEnviron,
		"cdb":       openCDB,
		"socketmap": openSocketmap,
		"tcp":       openTCP,
		"proxy":     Open,
	}
	maps.Copy(all, o.Types)
	return all
}

// Types are the names of all types there are, as postconf -m lists them.
func Types(o Options) []string { return slices.Sorted(maps.Keys(openers(o))) }

// Open opens the table that "type:argument" names.
func Open(spec string, o Options) (Table, error) {
	typ, argument, err := splitSpec(spec)
	if err != nil {
		return nil, err
	}
	open, ok := openers(o)[typ]
	if !ok {
		return nil, unsupported(typ, o)
	}
	return open(argument, o.withDefaults())
}

func splitSpec(spec string) (typ, argument string, err error) {
	typ, argument, _ = strings.Cut(spec, ":")
	if typ == "" || argument == "" {
		return "", "", fmt.Errorf(`open dictionary: expecting "type:name" form instead of "%s"`, spec)
	}
	return typ, argument, nil
}

func unsupported(typ string, o Options) error {
	return &unsupportedError{typ: typ, known: Types(o)}
}

func (o Options) withDefaults() Options {
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (o Options) warnf(format string, args ...any) { o.Warn(fmt.Sprintf(format, args...)) }
