package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"aliasmx/internal/admin"
)

// Options of ours that Postfix's commands have not: long ones, which cannot be taken for
// any of theirs. They say which messages of the queue are meant; all that are given have
// to hold.

const selectionUsage = "[--sender pattern] [--recipient pattern] [--destination pattern] [--reason pattern] " +
	"[--older age] [--younger age] [--size-over bytes]"

// selecting collects them.
type selecting struct {
	admin.Selection
	dryRun bool
}

// take takes the long options out of the arguments, wherever they stand before "--".
func (s *selecting) take(args []string) (rest []string, err error) {
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		if word == "--" {
			return append(append(rest, word), args...), nil
		}
		name, long := strings.CutPrefix(word, "--")
		if !long {
			rest = append(rest, word)
			continue
		}
		name, value, attached := strings.Cut(name, "=")
		if name == "dry-run" && !attached {
			s.dryRun = true
			continue
		}
		set := s.setter(name)
		switch {
		case set == nil:
			return nil, &optionError{fmt.Sprintf("unrecognized option '--%s'", printable(name))}
		case attached:
		case len(args) == 0:
			return nil, &optionError{fmt.Sprintf("option '--%s' requires an argument", name)}
		default:
			value, args = args[0], args[1:]
		}
		if value == "" {
			return nil, fmt.Errorf("--%s: empty argument", name)
		}
		if err := set(value); err != nil {
			return nil, fmt.Errorf("--%s %s: %w", name, printable(value), err)
		}
	}
	return rest, s.Check()
}

func (s *selecting) setter(name string) func(string) error {
	text := func(to *string) func(string) error {
		return func(value string) error { *to = value; return nil }
	}
	age := func(to *time.Duration) func(string) error {
		return func(value string) (err error) { *to, err = parseAge(value); return err }
	}
	switch name {
	case "sender":
		return text(&s.Sender)
	case "recipient":
		return text(&s.Recipient)
	case "destination":
		return text(&s.Destination)
	case "reason":
		return text(&s.Reason)
	case "older":
		return age(&s.Older)
	case "younger":
		return age(&s.Younger)
	case "size-over":
		return func(value string) (err error) { s.SizeOver, err = parseSize(value); return err }
	}
	return nil
}

// parseAge reads a time as people write it: 10m, 2h, 3d, 1w, 1h30m. A number alone could
// be anything, and is an error.
func parseAge(text string) (time.Duration, error) {
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	bad := errors.New("not an age; write 10m, 2h, 3d or 1w")
	var sum time.Duration
	for rest := text; rest != ""; {
		end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if end < 1 {
			return 0, bad
		}
		n, err := strconv.ParseInt(rest[:end], 10, 32)
		unit, known := units[rest[end]]
		if err != nil || !known || n > int64(100*366*24*time.Hour/unit) {
			return 0, bad
		}
		sum += time.Duration(n) * unit
		rest = rest[end+1:]
	}
	if sum <= 0 || sum > 100*366*24*time.Hour {
		return 0, bad
	}
	return sum, nil
}

// parseSize reads a number of bytes: 5000, 100K, 10M, 1G.
func parseSize(text string) (int64, error) {
	digits, factor := text, int64(1)
	if i := strings.IndexByte("KMG", text[len(text)-1]&^0x20); i >= 0 {
		digits, factor = text[:len(text)-1], 1<<(10*(i+1))
	}
	n, err := strconv.ParseInt(digits, 10, 33)
	if err != nil || n < 1 {
		return 0, errors.New("not a size; write bytes, or 100K, 10M")
	}
	return n * factor, nil
}
