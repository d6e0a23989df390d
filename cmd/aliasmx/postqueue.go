package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"aliasmx/internal/admin"
	"aliasmx/internal/mail"
	"aliasmx/internal/postconf"
)

// postqueue(1): what every user may do to the queue, as far as authorized_mailq_users
// and authorized_flush_users allow. As Postfix's, it fails with EX_UNAVAILABLE, whatever
// the reason.

const postqueueUsage = "postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | postqueue -s site"

const postqueueSelects = "postqueue -j|-p " + selectionUsage

type postqueueJob struct {
	selecting
	mode byte // the option that says what to do, 0: none
	arg  string
	dir  string
	err  error // more than one of them
}

func (j *postqueueJob) option(letter byte, arg string) error {
	switch letter {
	case 'c':
		j.dir = arg
	case 'v':
	default:
		if j.mode != 0 {
			return errors.New("usage: " + postqueueUsage)
		}
		j.mode, j.arg = letter, arg
	}
	return nil
}

func mailqCommand(args []string, env environ) int {
	return postqueueCommand(append([]string{"-p"}, args...), env)
}

func postqueueCommand(args []string, env environ) int {
	return postqueue(args, env, openQueueOffline)
}

func postqueue(args []string, env environ, open openOffline) int {
	job := &postqueueJob{}
	rest, err := job.take(args)
	if err == nil {
		rest, err = getopt(rest, "c:fi:jps:v", job.option)
	}
	switch {
	case err != nil:
	case len(rest) > 0 || job.mode == 0:
		err = errors.New("usage: " + postqueueUsage)
	case job.selects() && job.mode != 'p' && job.mode != 'j' || job.dryRun:
		err = errors.New("usage: " + postqueueSelects)
	}
	if err != nil {
		usageError(env.stderr, "postqueue", err, postqueueUsage)
		return exitUnavailable
	}
	cfg, err := loadConfig(configDir(job.dir, env), env)
	if err == nil {
		err = job.run(cfg, env, open)
	}
	if err != nil {
		return fail(env, "postqueue", exitUnavailable, err)
	}
	return exitOK
}

func (j *postqueueJob) selects() bool { return !j.Selection.IsZero() }

func (j *postqueueJob) run(cfg *postconf.Config, env environ, open openOffline) error {
	switch j.mode {
	case 'p':
		table := &queueTable{out: bufio.NewWriter(env.stdout), some: j.selects()}
		return j.list(cfg, env, open, table.add, table.end)
	case 'j':
		add := func(m *mail.Listed) error { return writeListedJSON(env.stdout, m) }
		return j.list(cfg, env, open, add, func() error { return nil })
	}
	return j.flush(asSelf(), env, admin.Dial(controlSocket(cfg)))
}

// list prints the queue, each message as it comes: who looks at the first ones only sees
// them at once, however many there are.
func (j *postqueueJob) list(cfg *postconf.Config, env environ, open openOffline, add func(*mail.Listed) error, end func() error) error {
	warnDown := func(why error) {
		reason := strings.TrimPrefix(why.Error(), admin.ErrDown.Error()+" ") // "(connect to ...)"
		fmt.Fprintf(env.stderr, "postqueue: warning: Mail system is down -- accessing queue directly %s\n", reason)
	}
	meter := newMeter(env, "looking")
	if isWatched(env.stdout) {
		meter.out = nil // what is found is to be seen there
	}
	err := withOperator(cfg, open, warnDown, func(ctx context.Context, q operator) error {
		var printed error
		show := func(m mail.Listed) bool {
			printed = add(&m)
			return printed == nil
		}
		if j.selects() {
			return errors.Join(q.Select(ctx, nil, j.Selection, meter.progress(), show), printed)
		}
		return errors.Join(q.List(ctx, show), printed)
	})
	meter.clear()
	if e, ok := errors.AsType[*noQueueError](err); ok {
		fmt.Fprintf(env.stderr, "postqueue: warning: cannot access the queue directly: %v\n", e.err)
		return errors.New("Queue report unavailable - mail system is down")
	}
	if errors.Is(err, admin.ErrForbidden) {
		return notAllowed(env, "view")
	}
	return errors.Join(err, end())
}

// flush asks the daemon to try mail now. Without a daemon nobody would.
func (j *postqueueJob) flush(ctx context.Context, env environ, c *admin.Client) error {
	var err error
	meter := newMeter(env, "messages looked at")
	var progress func(n int)
	if meter.out != nil {
		progress = func(n int) { meter.show(int64(n), 0) }
	}
	switch j.mode {
	case 'f':
		err = c.Flush(ctx)
	case 'i':
		id, known := mail.QueueID(0), false
		if !isQueueIDText(j.arg) {
			return fmt.Errorf("Cannot flush queue ID - invalid name: %q", j.arg)
		}
		if id, known = queueIDOf(j.arg); known {
			err = c.FlushID(ctx, id)
		} else {
			err = c.Health(ctx) // no message of ours has this ID: only whether we run
		}
	case 's':
		if site := strings.TrimSuffix(j.arg, "."); site == "" || strings.ContainsFunc(site, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return fmt.Errorf("Cannot flush mail queue - invalid destination: %q", j.arg)
		}
		err = c.FlushDest(ctx, strings.TrimSuffix(j.arg, "."), progress)
	}
	meter.clear()
	switch {
	case errors.Is(err, admin.ErrDown):
		return errors.New("Cannot flush mail queue - mail system is down")
	case errors.Is(err, admin.ErrForbidden):
		return notAllowed(env, "flush")
	case isNotFound(err):
		return nil // as Postfix: it may just have been delivered
	}
	return err
}

func notAllowed(env environ, what string) error {
	who := currentLogin(env)
	return fmt.Errorf("User %s(%d) is not allowed to %s the mail queue", who.name, who.uid, what)
}

// isQueueIDText tells whether s looks like a queue ID, of ours or of another system.
func isQueueIDText(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_') {
			return false
		}
	}
	return s != ""
}

func queueIDOf(s string) (mail.QueueID, bool) {
	id, err := mail.ParseQueueID(s)
	return id, err == nil && id != 0
}
