package main

import (
	"fmt"
	"io"
	"strings"
)

// getopt reads options as getopt(3) does under POSIXLY_CORRECT: single letters that may
// be joined, arguments attached or next, the end at "--" or at the first word that is
// no option. Scripts have relied on exactly that for decades.
//
// In letters, ":" after a letter means that it takes an argument, "?" that it takes one
// only when attached. take is called for each option; rest is what is left.
func getopt(args []string, letters string, take func(letter byte, arg string) error) (rest []string, err error) {
	for len(args) > 0 {
		word := args[0]
		if word == "--" {
			return args[1:], nil
		}
		if len(word) < 2 || word[0] != '-' {
			break
		}
		args = args[1:]
		for i := 1; i < len(word); i++ {
			at := strings.IndexByte(letters, word[i])
			if at < 0 || word[i] == ':' || word[i] == '?' {
				return nil, &optionError{fmt.Sprintf("invalid option -- '%c'", word[i])}
			}
			kind := byte(0)
			if at+1 < len(letters) {
				kind = letters[at+1]
			}
			arg := ""
			switch kind {
			case ':':
				arg = word[i+1:]
				if arg == "" {
					if len(args) == 0 {
						return nil, &optionError{fmt.Sprintf("option requires an argument -- '%c'", word[i])}
					}
					arg, args = args[0], args[1:]
				}
			case '?':
				arg = word[i+1:]
			}
			if err := take(word[i], arg); err != nil {
				return nil, err
			}
			if kind == ':' || kind == '?' {
				break
			}
		}
	}
	return args, nil
}

// optionError is an option that does not exist, or lacks its argument.
type optionError struct{ text string }

func (e *optionError) Error() string { return e.text }

// usageError says what Postfix's commands say about wrong options: which one, then how
// it would be right.
func usageError(w io.Writer, command string, err error, usage string) {
	if _, ok := err.(*optionError); ok {
		fmt.Fprintf(w, "%s: %v\n", command, err)
		err = fmt.Errorf("usage: %s", usage)
	}
	fmt.Fprintf(w, "%s: fatal: %v\n", command, err)
}
