package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strconv"

	"aliasmx/internal/admin"
	"aliasmx/internal/mail"
)

// postcat(1): a message in the queue, to look at. Our queue is no directory of files:
// messages are named by their IDs (-q). Offsets are those that the records would have in
// a file of Postfix's.

const postcatUsage = "postcat [-b (body text)] [-c config_dir] [-d (decimal record type)] [-e (envelope records)] [-h (header text)] " +
	"[-o (print offsets)] [-q (access queue)] [-s offset] [-v] [file(s)...]"

type postcatJob struct {
	dir                              string
	body, envelope, header           bool
	decimal, offsets, queue, verbose bool
	skip                             int64 // what begins before this offset
}

func (j *postcatJob) option(letter byte, arg string) error {
	switch letter {
	case 'b':
		j.body = true
	case 'c':
		j.dir = arg
	case 'd':
		j.decimal = true
	case 'e':
		j.envelope = true
	case 'h':
		j.header = true
	case 'q':
		j.queue = true
	case 'v':
		j.verbose = true
	case 'o':
		j.offsets = true
	case 's':
		n, err := strconv.ParseInt(arg, 10, 64)
		if err != nil || n < 0 {
			return fmt.Errorf("bad offset: %s", printable(arg))
		}
		j.skip = n
	case 'r': // there are no pointer records to follow, or not
	}
	return nil
}

func postcatCommand(args []string, env environ) int {
	return postcat(args, env, openQueueOffline)
}

func postcat(args []string, env environ, open openOffline) int {
	j := &postcatJob{}
	names, err := getopt(args, "bc:dehoqrs:v", j.option)
	if err == nil && !j.queue {
		err = errors.New("messages are not in files here; specify -q and queue IDs, as postqueue -p shows them")
	}
	if err != nil {
		usageError(env.stderr, "postcat", err, postcatUsage)
		return exitFailure
	}
	if !j.body && !j.envelope && !j.header {
		j.body, j.envelope, j.header = true, true, true
	}
	cfg, err := loadConfig(configDir(j.dir, env), env)
	if err != nil {
		return fail(env, "postcat", exitFailure, err)
	}
	out := bufio.NewWriter(env.stdout)
	err = withOperator(cfg, open, func(error) {}, func(ctx context.Context, q operator) error {
		for _, name := range names {
			if err := j.show(ctx, out, q, name); err != nil {
				return err
			}
		}
		return nil
	})
	out.Flush()
	if err != nil {
		return fail(env, "postcat", exitFailure, err)
	}
	return exitOK
}

func (j *postcatJob) show(ctx context.Context, out *bufio.Writer, q operator, name string) error {
	if !isQueueIDText(name) {
		return fmt.Errorf("bad mail queue ID: %s", printable(name))
	}
	var env *mail.Envelope
	var body mail.Body
	var err error = admin.ErrNotFound
	if id, ok := queueIDOf(name); ok {
		env, body, err = q.Load(ctx, id)
	}
	switch {
	case isNotFound(err):
		return fmt.Errorf("open queue file %s: No such file or directory", name)
	case errors.Is(err, admin.ErrForbidden):
		return fmt.Errorf("open queue file %s: Permission denied", name)
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	}
	// What is only known of its way through the queue. It may be gone by now.
	listed, err := q.Find(ctx, env.ID)
	if err == nil {
		name = listed.Queue + "/" + name
	}
	p := &postcatPrinter{postcatJob: j, out: out, name: name}
	p.envelopeRecords(env, listed, err == nil)
	if err := p.content(env.Prepend, body); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	p.end()
	return nil
}
