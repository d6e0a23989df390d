package dbtable

// Dialect is how one kind of SQL writes its strings, names and comments.
type Dialect struct {
	// Backslash: \ escapes within '...' and "...".
	Backslash bool
	// EStrings: \ escapes within E'...', and $tag$...$tag$ is a string.
	EStrings bool
	// DoubleIsText: "..." is a string as '...' is, not a name.
	DoubleIsText bool
	// Backtick: `...` is a name.
	Backtick bool
	// Hash: a comment begins at #.
	Hash bool
	// First: what follows the first statement is ignored.
	First bool
}

// The dialects. MySQL's is that of its default sql_mode, PostgreSQL's that of
// standard_conforming_strings = on.
var (
	PostgreSQL = Dialect{EStrings: true}
	MySQL      = Dialect{Backslash: true, DoubleIsText: true, Backtick: true, Hash: true}
	SQLite     = Dialect{DoubleIsText: true, Backtick: true, First: true}
)

// unescape is what a character after a backslash stands for; false when that depends on
// more than one character or on the server. MySQL keeps the backslash before % and _.
func (d Dialect) unescape(c byte) (string, bool) {
	switch c {
	case '\\', '\'', '"':
		return string(c), true
	case 'n':
		return "\n", true
	case 't':
		return "\t", true
	case 'r':
		return "\r", true
	case 'b':
		return "\b", true
	case '%', '_':
		if d.Backslash {
			return `\` + string(c), true
		}
	}
	return "", false
}
