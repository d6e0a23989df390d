package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"aliasmx/internal/admin"
	"aliasmx/internal/mail"
	"aliasmx/internal/postconf"
)

// postsuper(1): what only the superuser and the daemon's own user may do to the queue.

const postsuperUsage = "postsuper [-c config_dir] [-d queue_id (delete)] [-e queue_id (expire)] [-f queue_id (expire and/or un-hold)] " +
	"[-h queue_id (hold)] [-H queue_id (un-hold)] [-p (purge temporary files)] [-r queue_id (requeue)] " +
	"[-s (structure fix)] [-S (redundant structure fix)][-v (verbose)] [queue...]"

// postsuperTask is what one option asks to be done to one message, to all, or to those
// named on standard input.
type postsuperTask struct {
	actions []admin.Action
	ids     string // a queue ID, ALL, or -
}

const postsuperSelects = "postsuper -d|-e|-f|-h|-H|-r ALL [--dry-run] " + selectionUsage + " [queue...]"

type postsuperJob struct {
	selecting
	env    environ
	dir    string
	tasks  []postsuperTask
	queues []string // that the actions are restricted to
	none   bool     // the restriction leaves no queue that we have
	done   map[admin.Action]int
	failed bool
}

func (j *postsuperJob) option(letter byte, arg string) error {
	if letter == 'c' {
		j.dir = arg
	}
	actions := map[byte][]admin.Action{
		'd': {admin.ActionDelete},
		'e': {admin.ActionExpire},
		'f': {admin.ActionExpire, admin.ActionRelease},
		'h': {admin.ActionHold},
		'H': {admin.ActionRelease},
		'r': {admin.ActionRequeue},
	}[letter]
	if actions == nil {
		return nil // -p, -s, -S: nothing of this queue needs to be purged or set right
	}
	j.tasks = append(j.tasks, postsuperTask{actions, arg})
	for _, a := range actions {
		j.done[a] += 0 // asked for: its sum is shown
	}
	return nil
}

func postsuperCommand(args []string, env environ) int {
	return postsuper(args, env, openQueueOffline)
}

func postsuper(args []string, env environ, open openOffline) int {
	j := &postsuperJob{env: env, done: map[admin.Action]int{}}
	queues, err := j.take(args)
	if err == nil {
		queues, err = getopt(queues, "c:d:e:f:h:H:pr:sSv", j.option)
	}
	if err == nil {
		err = j.restrict(queues)
	}
	if err == nil && (j.dryRun || !j.Selection.IsZero()) && !j.onlyAll() {
		err = errors.New("usage: " + postsuperSelects)
	}
	if err != nil {
		usageError(env.stderr, "postsuper", err, postsuperUsage)
		return exitFailure
	}
	if len(j.tasks) == 0 {
		return exitOK
	}
	cfg, err := loadConfig(configDir(j.dir, env), env)
	if err == nil {
		err = j.run(cfg, open)
	}
	if errors.Is(err, admin.ErrForbidden) {
		err = errors.New("use of this command is reserved for the superuser")
	}
	if err != nil {
		return fail(env, "postsuper", exitFailure, err)
	}
	if !j.dryRun {
		j.summary()
	}
	if j.failed {
		return exitFailure
	}
	return exitOK
}

// restrict takes the names of queues after the options. We have no maildrop queue, and
// the logs that Postfix keeps in directories beside its queues are in the messages.
func (j *postsuperJob) restrict(names []string) error {
	ours := []string{"incoming", "active", "deferred", "hold", "corrupt"}
	others := []string{"maildrop", "bounce", "defer", "trace", "flush", "saved"}
	for _, name := range names {
		switch {
		case slices.Contains(ours, name):
			j.queues = append(j.queues, name)
		case !slices.Contains(others, name):
			return errors.New("invalid directory name: " + name)
		}
	}
	j.none = len(names) > 0 && len(j.queues) == 0
	return nil
}

// onlyAll tells whether all that is asked for is of all messages: those that a selection
// is made from.
func (j *postsuperJob) onlyAll() bool {
	return len(j.tasks) > 0 && !slices.ContainsFunc(j.tasks, func(t postsuperTask) bool { return t.ids != "ALL" })
}

func (j *postsuperJob) run(cfg *postconf.Config, open openOffline) error {
	return withOperator(cfg, open, func(error) {}, func(ctx context.Context, q operator) error {
		for _, t := range j.tasks {
			if err := j.do(ctx, q, t); err != nil {
				return err
			}
		}
		return nil
	})
}

func (j *postsuperJob) do(ctx context.Context, q operator, t postsuperTask) error {
	switch {
	case j.none:
		return nil
	case j.dryRun:
		return j.show(ctx, q, t)
	case t.ids == "-":
		return j.fromInput(ctx, q, t.actions)
	case t.ids == "ALL":
		return j.apply(ctx, q, t.actions, true, nil)
	}
	if id, ok := j.id(t.ids); ok {
		return j.apply(ctx, q, t.actions, false, []mail.QueueID{id})
	}
	return nil
}

// show prints the queue IDs of what would be done something to, one a line.
func (j *postsuperJob) show(ctx context.Context, q operator, t postsuperTask) error {
	queues := j.queues
	if len(queues) == 0 {
		for _, a := range t.actions {
			queues = append(queues, a.Queues()...)
		}
		slices.Sort(queues)
		queues = slices.Compact(queues)
	}
	var printed error
	err := q.Select(ctx, queues, j.Selection, nil, func(m mail.Listed) bool {
		_, printed = fmt.Fprintln(j.env.stdout, m.ID)
		return printed == nil
	})
	return errors.Join(err, printed)
}

// fromInput reads queue IDs from standard input, one a line, and works through them as
// they come.
func (j *postsuperJob) fromInput(ctx context.Context, q operator, actions []admin.Action) error {
	lines := bufio.NewScanner(j.env.stdin)
	for more := true; more; {
		ids := make([]mail.QueueID, 0, admin.MaxIDs)
		for len(ids) < admin.MaxIDs {
			if more = lines.Scan(); !more {
				break
			}
			if id, ok := j.id(strings.TrimSpace(lines.Text())); ok {
				ids = append(ids, id)
			}
		}
		if err := j.apply(ctx, q, actions, false, ids); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	return nil
}

// id reads a queue ID. What is one, but of another system, names no message of ours.
func (j *postsuperJob) id(s string) (mail.QueueID, bool) {
	if !isQueueIDText(s) {
		fmt.Fprintf(j.env.stderr, "postsuper: warning: invalid mail queue id: %s\n", printable(s))
		return 0, false
	}
	return queueIDOf(s)
}

func (j *postsuperJob) apply(ctx context.Context, q operator, actions []admin.Action, all bool, ids []mail.QueueID) error {
	for _, a := range actions {
		meter := newMeter(j.env, string(a))
		req := admin.Request{Action: a, All: all, IDs: ids, Queues: j.queues, Select: j.Selection}
		if all {
			req.Progress = meter.progress()
		}
		err := q.Apply(ctx, req, func(r admin.Result) bool {
			if r.Err != nil {
				meter.clear()
			}
			j.result(a, all, r)
			return true
		})
		meter.clear()
		if err != nil {
			return err
		}
	}
	return nil
}

func (j *postsuperJob) result(a admin.Action, all bool, r admin.Result) {
	switch {
	case r.Err == nil:
		j.done[a]++
		if !all {
			fmt.Fprintf(j.env.stderr, "postsuper: %s: %s\n", r.ID, a.Done())
		}
	case !isNotFound(r.Err): // otherwise it is gone, which is no fault
		j.failed = true
		fmt.Fprintf(j.env.stderr, "postsuper: warning: %s: %v\n", r.ID, r.Err)
	}
}

// summary prints what was done, in Postfix's order.
func (j *postsuperJob) summary() {
	for _, a := range []admin.Action{admin.ActionRequeue, admin.ActionDelete, admin.ActionExpire, admin.ActionHold, admin.ActionRelease} {
		if n, asked := j.done[a]; asked {
			fmt.Fprintf(j.env.stderr, "postsuper: %s\n", a.Summary(n))
		}
	}
}
