// Package postconf reads main.cf and master.cf, as postconf(5) and master(5) describe
// them, and prints them as postconf(1) does.
//
// # main.cf
//
// A file is a sequence of logical lines, "name = value". A line that begins with white
// space continues the one before it; empty lines and lines whose first other character
// is "#" are skipped, also between a line and its continuation. The last definition of
// a name counts.
//
// A value may refer to other parameters, whether they are defined before or after it:
//
//	$name  ${name}  $(name)      the value, empty if there is none
//	${name?text}  ${name?{text}} text if the value is not empty
//	${name:text}  ${name:{text}} text if the value is empty
//	${name?{a}:{b}}              the one or the other
//	${{x} == {y} ? {a} : {b}}    likewise, by a comparison: == != < <= >= >
//	$$                           one dollar
//
// A comparison is numeric if both sides are all digits, otherwise by bytes. Operators
// with the suffix "level" compare compatibility levels, such as 3.6.
//
// # Where a value comes from
//
// First an override (-o name=value in master.cf, or Override), then the environment
// (POSTFIX_name=value), then main.cf, then the table of parameters. That table holds
// each parameter once, with its type, default and meaning; params_*.go are its parts.
// Names that Postfix has and we do not are in unsupported_*.go.
//
// # What stops the start
//
// A value of the wrong type or out of range; and a parameter that we do not have,
// where its name shows that it was to restrict something and its value that it was
// used: see guard.go. Every other unknown parameter is a warning.
//
// # What this package does not do
//
// It opens no table, no queue and no port. Whether a restriction or a table type
// exists is for those to say who use it. It reads "/file" for myorigin only: in lists
// such elements stay as they are, for internal/table.
//
//	cfg, err := postconf.Load(postconf.LoadOptions{Dir: "/etc/aliasmx", Environ: os.Environ()})
//	limit := cfg.Int64("message_size_limit")
package postconf
