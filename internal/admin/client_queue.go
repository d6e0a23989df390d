package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"aliasmx/internal/mail"
)

// The Client's streams and messages.

// List yields all messages, oldest first, until yield returns false.
func (c *Client) List(ctx context.Context, yield func(mail.Listed) bool) error {
	return c.list(ctx, http.MethodGet, "queue", nil, nil, yield)
}

// Select is the function of this name; the daemon does the selecting.
func (c *Client) Select(ctx context.Context, queues []string, sel Selection, progress Progress, yield func(mail.Listed) bool) error {
	err := c.list(ctx, http.MethodPost, "queue/select", selectRequest{queues, sel}, progress, yield)
	return olderDaemon(err)
}

// olderDaemon explains why a daemon does not know what it was asked.
func olderDaemon(err error) error {
	if errors.Is(err, ErrNotFound) {
		return errors.New("the daemon is of an earlier version than this program; start it again")
	}
	return err
}

func (c *Client) list(ctx context.Context, method, path string, question any, progress Progress, yield func(mail.Listed) bool) error {
	return readLines(ctx, c, method, path, question, progress, func(l listedLine) bool { return yield(l.mail()) })
}

// Apply carries out a request; see the function of this name. A request may name any
// number of messages.
func (c *Client) Apply(ctx context.Context, req Request, yield func(Result) bool) error {
	path := "queue/actions"
	if !req.Select.IsZero() {
		// A daemon that knows of no selection must not take this for all messages.
		path = "queue/actions/selected"
	}
	send := func(req Request) (more bool, err error) {
		more = true
		err = readLines(ctx, c, http.MethodPost, path, req, req.Progress,
			func(l resultLine) bool {
				more = yield(l.result())
				return more
			})
		return more, olderDaemon(err)
	}
	if req.All {
		_, err := send(req)
		return err
	}
	for ids := range slices.Chunk(req.IDs, MaxIDs) {
		part := req
		part.IDs = ids
		if more, err := send(part); err != nil || !more {
			return err
		}
	}
	return nil
}

// errCut: the daemon went away in the middle of an answer.
var errCut = errors.New("the answer of the daemon was cut off")

// readLines reads an answer line by line to its last one, or until take returns false.
func readLines[T interface{ last() trailer }](ctx context.Context, c *Client, method, path string, question any, progress Progress, take func(T) bool) error {
	resp, err := c.do(ctx, method, path, question)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(resp.Body)
	for {
		var line T
		if err := dec.Decode(&line); err != nil {
			return fmt.Errorf("%w: %w", errCut, err)
		}
		switch t := line.last(); {
		case t.Progress != nil:
			if progress != nil {
				progress(t.Progress.Done, t.Progress.Total)
			}
		case t.Error != "":
			return errors.New(t.Error)
		case t.End || !take(line):
			return nil
		}
	}
}

// Hold puts a message on hold.
func (c *Client) Hold(ctx context.Context, id mail.QueueID) error { return c.one(ctx, ActionHold, id) }

// Release takes a message off hold.
func (c *Client) Release(ctx context.Context, id mail.QueueID) error {
	return c.one(ctx, ActionRelease, id)
}

// Delete removes a message.
func (c *Client) Delete(ctx context.Context, id mail.QueueID) error {
	return c.one(ctx, ActionDelete, id)
}

// Requeue resolves the recipients of a message again.
func (c *Client) Requeue(ctx context.Context, id mail.QueueID) error {
	return c.one(ctx, ActionRequeue, id)
}

// Expire returns a message to its sender at its next attempt.
func (c *Client) Expire(ctx context.Context, id mail.QueueID) error {
	return c.one(ctx, ActionExpire, id)
}

func (c *Client) one(ctx context.Context, a Action, id mail.QueueID) error {
	var result error
	err := c.Apply(ctx, Request{Action: a, IDs: []mail.QueueID{id}}, func(r Result) bool {
		result = r.Err
		return true
	})
	return errors.Join(err, result)
}

// Find is what List yields of one message.
func (c *Client) Find(ctx context.Context, id mail.QueueID) (mail.Listed, error) {
	var l listedLine
	err := c.ask(ctx, http.MethodGet, "messages/"+id.String()+"/listed", nil, &l)
	return l.mail(), err
}

// Load returns the envelope of a message, and its body, which is fetched when it is
// opened.
func (c *Client) Load(ctx context.Context, id mail.QueueID) (*mail.Envelope, mail.Body, error) {
	var e envelope
	if err := c.ask(ctx, http.MethodGet, "messages/"+id.String(), nil, &e); err != nil {
		return nil, nil, err
	}
	env := e.mail()
	return env, remoteBody{ctx, c, env.ID, env.Size}, nil
}

type remoteBody struct {
	ctx  context.Context // of Load: Open has none of its own
	c    *Client
	id   mail.QueueID
	size int64
}

func (b remoteBody) Size() int64 { return b.size }

func (b remoteBody) Open() (io.ReadCloser, error) {
	resp, err := b.c.do(b.ctx, http.MethodGet, "messages/"+b.id.String()+"/content", nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}
