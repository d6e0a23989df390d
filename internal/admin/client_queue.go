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
	return readLines(ctx, c, http.MethodGet, "queue", nil,
		func(l listedLine) (bool, trailer) {
			if l.ID == 0 {
				return false, l.trailer
			}
			return yield(l.mail()), trailer{}
		})
}

// Apply carries out a request; see the function of this name. A request may name any
// number of messages.
func (c *Client) Apply(ctx context.Context, req Request, yield func(Result) bool) error {
	send := func(req Request) (more bool, err error) {
		more = true
		err = readLines(ctx, c, http.MethodPost, "queue/actions", req,
			func(l resultLine) (bool, trailer) {
				if l.ID == 0 {
					return false, l.trailer
				}
				more = yield(l.result())
				return more, trailer{}
			})
		return more, err
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

// readLines reads an answer line by line. take returns false and no trailer to end
// early, and false and the trailer at the last line.
func readLines[T any](ctx context.Context, c *Client, method, path string, question any, take func(T) (bool, trailer)) error {
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
		more, last := take(line)
		switch {
		case last.Error != "":
			return errors.New(last.Error)
		case !more:
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
