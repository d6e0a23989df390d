package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"aliasmx/internal/admin"
	"aliasmx/internal/mail"
	"aliasmx/internal/postconf"
)

// qshape(1): how much mail waits for which domain, and how long it has waited. What it
// keeps in memory is its table: the queue goes by.

const qshapeUsage = "qshape [-s | --destination] [-p] [-m min_subdomains] [-l] [-b bucket_count] [-t bucket_time] [-w terminal_width] " +
	"[-N batch_msg_count] [-n batch_top_domains] [-c config_directory] [queue_name ...]"

type qshapeJob struct {
	shape  shape
	dir    string
	batch  int // messages between two looks at a terminal
	queues []string
}

func qshapeCommand(args []string, env environ) int {
	return qshape(args, env, openQueueOffline, time.Now)
}

func qshape(args []string, env environ, open openOffline, now func() time.Time) int {
	j := &qshapeJob{batch: 1000}
	j.shape = shape{buckets: 10, tick: 5, width: 80, minSub: 5, rows: map[string]*shapeRow{}}
	if isWatched(env.stdout) {
		j.shape.top = 20
	}
	args = slices.DeleteFunc(slices.Clone(args), func(word string) bool {
		j.shape.byHop = j.shape.byHop || word == "--destination"
		return word == "--destination"
	})
	names, err := getopt(args, "lhc:psw:b:t:m:n:N:", j.option)
	if err == nil {
		err = j.take(names)
	}
	if errors.Is(err, errHelp) {
		fmt.Fprintln(env.stdout, "usage: "+qshapeUsage)
		return exitOK
	}
	if err != nil {
		usageError(env.stderr, "qshape", err, qshapeUsage)
		return exitFailure
	}
	cfg, err := loadConfig(configDir(j.dir, env), env)
	if err == nil {
		err = j.run(cfg, env, open, now)
	}
	if errors.Is(err, admin.ErrForbidden) {
		err = notAllowed(env, "view")
	}
	if err != nil {
		return fail(env, "qshape", exitFailure, err)
	}
	return exitOK
}

var errHelp = errors.New("help was asked for")

func (j *qshapeJob) option(letter byte, arg string) error {
	s := &j.shape
	switch letter {
	case 'h':
		return errHelp
	case 'c':
		j.dir = arg
		return nil
	case 'l':
		s.linear = true
		return nil
	case 'p':
		s.parents = true
		return nil
	case 's':
		s.bySender = true
		return nil
	}
	n, err := strconv.Atoi(arg)
	if err != nil || n < 0 || n > 1e6 {
		return fmt.Errorf("-%c %s: not a number", letter, printable(arg))
	}
	switch {
	case letter == 'w' && n > 80: // as qshape: narrower is not
		s.width = n
	case letter == 'b' && n > maxBuckets:
		return fmt.Errorf("-b %d: more than %d", n, maxBuckets)
	case letter == 'b' && n > 0:
		s.buckets = n
	case letter == 't' && n > 0:
		s.tick = n
	case letter == 'm' && n > 0:
		s.minSub = n
	case letter == 'n' && s.top > 0:
		s.top = n
	case letter == 'N':
		j.batch = n
	}
	return nil
}

// maxBuckets is more than doubling can use: 5 minutes 40 times doubled are ages.
const maxBuckets = 1000

// take takes the names of queues. A path means the directory of Postfix's of that name.
func (j *qshapeJob) take(names []string) error {
	if j.shape.bySender && j.shape.byHop {
		return errors.New("-s and --destination: one or the other")
	}
	if len(names) == 0 {
		names = []string{"incoming", "active"}
	}
	for _, name := range names {
		switch base := path.Base(name); base {
		case "incoming", "active", "deferred", "hold", "corrupt":
			j.queues = append(j.queues, base)
		case "maildrop": // we have none: it is empty
		default:
			return fmt.Errorf("no such queue: %s", printable(name))
		}
	}
	return nil
}

func (j *qshapeJob) run(cfg *postconf.Config, env environ, open openOffline, now func() time.Time) error {
	s := &j.shape
	s.now = now()
	watched := isWatched(env.stdout) && j.batch > 0
	meter := newMeter(env, "looking")
	if watched {
		meter.out = nil
	}
	drawn := s.now
	err := withOperator(cfg, open, func(error) {}, func(ctx context.Context, q operator) error {
		if len(j.queues) == 0 {
			return nil
		}
		var printed error
		err := q.Select(ctx, j.queues, admin.Selection{}, meter.progress(), func(m mail.Listed) bool {
			s.add(&m)
			// Not more often than eyes can follow.
			if watched && s.messages%j.batch == 0 && now().Sub(drawn) >= time.Second {
				drawn = now()
				printed = s.draw(env.stdout, true)
			}
			return printed == nil
		})
		return errors.Join(err, printed)
	})
	meter.clear()
	if err != nil {
		return err
	}
	return s.draw(env.stdout, watched && !drawn.Equal(s.now))
}

// draw prints the table, on an empty screen if that is asked for.
func (s *shape) draw(w io.Writer, clear bool) error {
	out := bufio.NewWriter(w)
	if clear {
		out.WriteString("\x1b[H\x1b[2J")
	}
	s.print(out)
	return out.Flush()
}

// qshapeDomain is what qshape makes of an address: its domain without dots where none
// belong; all of it when it has none.
func qshapeDomain(address string) string {
	a := strings.ToLower(address)
	if a == "" {
		return "MAILER-DAEMON"
	}
	a = strings.ReplaceAll(a[strings.LastIndexByte(a, '@')+1:], "..", ".")
	if len(a) > 1 {
		a = strings.TrimPrefix(a, ".")
	}
	if len(a) > 1 {
		a = strings.TrimSuffix(a, ".")
	}
	return a
}
