package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	logins "aliasmx/internal/login"
)

// passwdCommand prints the hash of a password that comes on standard input, as the table
// in smtpd_sasl_path wants it. A password is never an argument: anybody can see those.
func passwdCommand(args []string, env environ) int {
	var flags struct {
		User   string `arg:"" optional:"" help:"Name of the user, to print a whole line of the table."`
		Bcrypt bool   `help:"A bcrypt hash, for programs that know no argon2id."`
		Cost   int    `default:"12" help:"Cost of a bcrypt hash, 4 to 16."`
	}
	const summary = "Print the hash of a password, for the table of users in smtpd_sasl_path. " +
		"The password is read from the terminal, or is the first line of standard input."
	if done, status := parseFlags("passwd", summary, &flags, args, env); done {
		return status
	}
	if strings.ContainsAny(flags.User, " \t\r\n") {
		return fail(env, "aliasmx", exitUsage, fmt.Errorf("%q: the name of a user has no spaces", flags.User))
	}
	password, err := readPassword(env)
	if err != nil {
		return fail(env, "aliasmx", exitFailure, err)
	}
	hash := ""
	if flags.Bcrypt {
		hash, err = logins.Bcrypt(password, flags.Cost)
	} else {
		hash, err = logins.Argon2id(password)
	}
	if err != nil {
		return fail(env, "aliasmx", exitFailure, err)
	}
	if flags.User != "" {
		hash = flags.User + "\t" + hash
	}
	fmt.Fprintln(env.stdout, hash)
	return exitOK
}

// readPassword asks for a password twice at a terminal, and takes it as it comes from
// elsewhere.
func readPassword(env environ) (string, error) {
	in := bufio.NewReader(env.stdin)
	f, ok := env.stdin.(*os.File)
	if !ok || !hasEcho(f) {
		return onePassword(in)
	}
	first, err := askPassword(f, in, env.stderr, "Password: ")
	if err != nil {
		return "", err
	}
	second, err := askPassword(f, in, env.stderr, "Again: ")
	if err == nil && first != second {
		err = errors.New("the two are not the same")
	}
	return first, err
}

// onePassword reads a line.
func onePassword(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("read password: %w", err)
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	switch {
	case line == "":
		return "", errors.New("no password; write it to standard input")
	case !utf8.ValidString(line) || strings.ContainsRune(line, 0):
		return "", errors.New("the password has bytes that no client can send: not UTF-8, or NUL")
	}
	return line, nil
}

func hasEcho(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// askPassword reads a line that the terminal does not show.
func askPassword(f *os.File, in *bufio.Reader, out io.Writer, prompt string) (string, error) {
	fd := int(f.Fd())
	was, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", fmt.Errorf("terminal: %w", err)
	}
	silent := *was
	silent.Lflag &^= unix.ECHO
	silent.Lflag |= unix.ICANON | unix.ISIG
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &silent); err != nil {
		return "", fmt.Errorf("terminal: %w", err)
	}
	defer unix.IoctlSetTermios(fd, unix.TCSETS, was)
	fmt.Fprint(out, prompt)
	defer fmt.Fprintln(out)
	return onePassword(in)
}
