package local

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"aliasmx/internal/mail"
)

// A command of an alias, as deliver_command and pipe_command(3) of Postfix run it.

// command gives the message to a command.
func (d *delivery) command(st state, line string) bool {
	st.level++
	user := d.acting(st)
	key, before := d.been("command %s:%d %s", st.user, st.rights.UID, line)
	if before {
		return false
	}
	if d.dry {
		if missing := d.missingProgram(line); missing != "" {
			d.warn("command %s: there is no program %s", line, missing)
		}
		d.step("runs as %s: %s", user.Name, line)
		return d.sent(st, "delivers to command: %s", line)
	}
	if user.UID != d.self && d.self != 0 {
		return d.cannotBecome(st, "run a command", errOtherUser)
	}
	stdin, err := unixReader(d.above(st, copyCommand, true), d.a)
	if err != nil {
		return d.fails(st, mail.Code(4, 3, 0), "cannot read the message: %v", err)
	}
	defer stdin.Close()
	path, argv := d.program(line)
	o := d.run(line, process{
		path: path, argv: argv, dir: d.startIn(), env: d.environment(st), user: user, stdin: stdin,
	})
	if !o.ok() {
		return d.failsForOwner(st, o)
	}
	d.done[key] = true
	return d.sent(st, "delivered to command: %s", line)
}

// startIn is where commands start: command_execution_directory, or the queue directory as
// in Postfix.
func (s *settings) startIn() string {
	if s.CommandDirectory != "" {
		return s.CommandDirectory
	}
	if s.QueueDirectory != "" {
		return s.QueueDirectory
	}
	return "/"
}

// plain are the characters that mean nothing to a shell (exec_command(3)).
const plain = commandFilter + " \t"

// defaultPath is where commands are looked for (_PATH_DEFPATH).
const defaultPath = "/usr/bin:/bin"

// program is how a command line is run: without a shell where it needs none.
func (s *settings) program(line string) (path string, argv []string) {
	if shell := strings.Fields(s.CommandShell); len(shell) > 0 {
		return cmp.Or(inPath(shell[0]), shell[0]), append(shell, line)
	}
	words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
	if len(words) > 0 && onlyPlain(line) {
		if path := inPath(words[0]); path != "" {
			return path, words
		}
	}
	return "/bin/sh", []string{"sh", "-c", line}
}

func onlyPlain(line string) bool {
	return !strings.ContainsFunc(line, func(r rune) bool { return !strings.ContainsRune(plain, r) })
}

// inPath finds a program; one whose name has a slash is where it says. "" is for one
// that may be built into the shell.
func inPath(name string) string {
	if strings.Contains(name, "/") {
		return name
	}
	for _, dir := range filepath.SplitList(defaultPath) {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// shellWords are what a shell understands itself.
const shellWords = " . : cd echo eval exec exit export false if for case kill printf read set test true trap ulimit umask until wait while "

// missingProgram is the program of a command line that is not there, "" when it is, or
// when only the shell can tell.
func (s *settings) missingProgram(line string) string {
	path, argv := s.program(line)
	if argv[0] == "sh" && s.CommandShell == "" {
		words := strings.Fields(line)
		if len(words) == 0 || !onlyPlain(line) && !(strings.HasPrefix(words[0], "/") && onlyPlain(words[0])) {
			return ""
		}
		if strings.Contains(shellWords, " "+words[0]+" ") {
			return ""
		}
		path = words[0]
	}
	info, err := os.Stat(path)
	if !strings.Contains(path, "/") || err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return path
	}
	return ""
}

// environment is what a command learns of the message. What comes from the network is
// reduced to command_expansion_filter: it is to end up in shells.
func (d *delivery) environment(st state) []string {
	env := append([]string(nil), d.Environment...)
	env = append(env, "PATH="+defaultPath)
	if d.ConfigDir != "" {
		env = append(env, "MAIL_CONFIG="+d.ConfigDir)
	}
	add := func(name, value string) {
		if value != "" {
			env = append(env, name+"="+d.filter(value))
		}
	}
	if st.rights.UID != 0 {
		add("HOME", st.rights.Home)
		add("SHELL", st.rights.Shell)
	}
	add("LOGNAME", st.user)
	add("USER", st.user)
	env = append(env, "SENDER="+d.filter(st.sender.Internal()))
	add("RECIPIENT", st.rcpt.Internal())
	add("LOCAL", st.local)
	add("DOMAIN", st.domain)
	add("EXTENSION", st.extension)
	add("ORIGINAL_RECIPIENT", st.orig.Internal())
	add("ENVID", d.a.Env.EnvID)
	if c := d.a.Env.Client; c.Addr.IsValid() {
		add("CLIENT_HOSTNAME", c.Name)
		add("CLIENT_ADDRESS", c.Addr.String())
		add("CLIENT_HELO", c.Helo)
		add("CLIENT_PROTOCOL", c.Protocol)
	}
	return env
}

func (s *settings) filter(value string) string {
	b := []byte(value)
	for i, c := range b {
		if strings.IndexByte(s.CommandFilter, c) < 0 {
			b[i] = '_'
		}
	}
	return string(b)
}

// judge is what the end of a command means.
func judge(line string, e ending) outcome {
	more := ""
	if e.output != "" {
		more = ". Command output: " + e.output
	}
	o := outcome{reply: e.output, replyType: "x-unix"}
	say := func(code mail.Enhanced, text, format string, args ...any) outcome {
		o.code, o.reason = code, fmt.Sprintf(format, args...)
		if o.reply == "" {
			o.reply = text
		}
		return o
	}
	const software = "internal software error"
	switch {
	case e.cut:
		return say(mail.Code(4, 3, 2), software, "the mail system is shutting down")
	case e.late:
		return say(mail.Code(5, 3, 0), software, "Command time limit exceeded: \"%s\"%s", line, more)
	case e.err != nil:
		return say(mail.Code(4, 3, 0), "system resource problem", "%s", e.err)
	case e.signal != 0:
		return say(mail.Code(4, 3, 0), software, "Command died with signal %d: \"%s\"%s", e.signal, line, more)
	case e.status == 0:
		return outcome{code: mail.Code(2, 0, 0)}
	}
	if code, text, ok := splitDSN(e.output); ok {
		o.reply = text
		return say(code, text, "%s", text)
	}
	if exit, ok := sysExitOf(e.status); ok {
		return say(exit.code, exit.text, "%s%s", exit.text, more)
	}
	return say(mail.Code(5, 3, 0), fmt.Sprintf("unknown mail system error %d", e.status),
		"Command died with status %d: \"%s\"%s", e.status, line, more)
}
