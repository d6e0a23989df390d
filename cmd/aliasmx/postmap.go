package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"aliasmx/internal/maillog"
	"aliasmx/internal/postconf"
	"aliasmx/internal/table"
)

// postmap(1): builds, updates and asks lookup tables. Options, messages and exit
// statuses are Postfix's; the index files are ours.

const postmapUsage = "usage: postmap [-bfFhimnNoprsuUvw] [-c config_dir] [-d key] [-q key] [map_type:]file..."

// postmapJob is what the arguments ask for.
type postmapJob struct {
	name      string // postmap or postalias
	env       environ
	configDir string
	tables    []string

	query, remove      string // -q, -d
	querying, removing bool
	sequence, update   bool // -s, -i
	verbose            bool // -v
	build              table.BuildOptions

	headers, body, mime bool // -h, -b, -m: what of a message are the keys
	forceUTF8           bool // -U: keys of a message are UTF-8
}

func postmapCommand(args []string, env environ) int {
	return buildTables(args, &postmapJob{name: "postmap", env: env, build: table.BuildOptions{AsOwner: true, SourceMode: true}})
}

// buildTables is what postmap and postalias have in common.
func buildTables(args []string, j *postmapJob) int {
	j.build.Warn = j.warn
	j.build.Types = tableTypes()
	found, err := j.run(args)
	switch {
	case err != nil:
		return fail(j.env, j.name, exitFailure, errors.New(maillog.Printable(err.Error())))
	case !found:
		return exitFailure
	}
	return exitOK
}

// run does what the arguments ask for. The order of the checks is Postfix's: main.cf is
// read before anything is said of arguments that do not go together.
func (j *postmapJob) run(args []string) (found bool, err error) {
	if err := j.parse(args); err != nil {
		return false, err
	}
	if err := j.configure(); err != nil {
		return false, err
	}
	if err := j.checkMessageKeys(); err != nil {
		return false, err
	}
	if len(j.tables) == 0 && !j.sequence {
		return false, errors.New(j.usage())
	}
	switch {
	case j.removing:
		return j.delete()
	case j.querying:
		return j.lookUp()
	case j.sequence:
		return len(j.tables) > 0, j.list()
	}
	return true, j.make()
}

func (j *postmapJob) warn(msg string) {
	fmt.Fprintf(j.env.stderr, "%s: warning: %s\n", j.name, maillog.Printable(msg))
}

func (j *postmapJob) warnf(format string, args ...any) { j.warn(fmt.Sprintf(format, args...)) }

// parse reads the arguments. Where -o NAME=VALUE is written, -o is a word of its own
// and the rest a table: postmap(1) has no such option.
func (j *postmapJob) parse(args []string) error {
	letters := "bc:d:fFhimnNopq:rsuUvw"
	if j.build.Aliases {
		letters = "Nc:d:finopq:rsuvw"
	}
	rest, err := getopt(args, letters, j.option)
	if _, wrong := err.(*optionError); wrong {
		fmt.Fprintf(j.env.stderr, "%s: %v\n", j.name, err)
		return errors.New(j.usage())
	}
	j.tables = rest
	return err
}

func (j *postmapJob) option(letter byte, value string) error {
	if strings.IndexByte("diqs", letter) >= 0 && (j.update || j.sequence || j.querying || j.removing) {
		return errors.New("specify only one of -d -i -q or -s")
	}
	switch letter {
	case 'b':
		j.body = true
	case 'c':
		j.configDir = value
	case 'd':
		j.remove, j.removing = value, true
	case 'f':
		j.build.NoFold = true
	case 'F':
		j.build.Files = true
	case 'h':
		j.headers = true
	case 'i':
		j.update = true
	case 'm':
		j.mime = true
	case 'n':
		j.build.NullForm = table.NullNone
	case 'N':
		j.build.NullForm = table.NullAdded
	case 'o':
		j.build.AsOwner = false
	case 'p':
		j.build.SourceMode = false
	case 'q':
		j.query, j.querying = value, true
	case 'r':
		j.build.Dup = table.DupReplace
	case 's':
		j.sequence = true
	case 'u':
		j.build.NoUTF8 = true
	case 'U':
		j.forceUTF8 = true
	case 'v':
		j.verbose = true
	case 'w':
		j.build.Dup = table.DupIgnore
	}
	return nil
}

// checkMessageKeys: -b, -h and -m are for "-q -". The text of a message is bytes unless
// -U says that it is UTF-8.
func (j *postmapJob) checkMessageKeys() error {
	if (j.headers || j.body || j.mime) && (!j.querying || j.query != "-") {
		return errors.New(`specify -b -h or -m only with "-q -"`)
	}
	if j.mime && !j.headers && !j.body {
		j.warn("ignoring -m option without -b or -h")
	}
	if (j.headers || j.body) && !j.forceUTF8 {
		j.build.NoUTF8 = true
	}
	return nil
}

// configure gives tables without a type default_database_type, and reads
// smtputf8_enable. Tables can be built before anything is configured: a main.cf that
// nobody has named need not be there.
func (j *postmapJob) configure() error {
	typ := "hash"
	cfg, err := j.config()
	if err != nil {
		return err
	}
	if cfg != nil {
		typ = cfg.Get("default_database_type")
		j.build.NoUTF8 = j.build.NoUTF8 || !cfg.Bool("smtputf8_enable")
	}
	for i, t := range j.tables {
		if !strings.Contains(t, ":") {
			j.tables[i] = typ + ":" + t
		}
	}
	return nil
}

func (j *postmapJob) config() (*postconf.Config, error) {
	dir := configDir(j.configDir, j.env)
	if _, err := os.Stat(filepath.Join(dir, "main.cf")); errors.Is(err, fs.ErrNotExist) {
		if j.configDir == "" && j.env.getenv("MAIL_CONFIG") == "" {
			return nil, nil
		}
		return nil, table.FileError("open", filepath.Join(dir, "main.cf"), err)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	// Only its syntax is checked: what else is wrong with it is no business of a table.
	return postconf.Read(postconf.LoadOptions{Dir: abs, Environ: j.env.environ()})
}
