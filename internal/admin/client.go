package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/sock"
)

// Client asks a daemon. It implements Queue. An error is ErrDown when no daemon
// serves the socket, ErrForbidden when it does not let this user do that, ErrNotFound
// when the message is not there.
type Client struct {
	socket string
	http   *http.Client
}

// wait bounds each wait for the daemon. A reload reads tables before it answers.
const wait = 2 * time.Minute

// Dial makes a client of the daemon behind a socket. It does not connect yet: each
// question has its own connection.
func Dial(socket string) *Client {
	c := &Client{socket: socket}
	c.http = &http.Client{Transport: &http.Transport{DialContext: c.dial, DisableKeepAlives: true, DisableCompression: true}}
	return c
}

func (c *Client) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	conn, err := sock.DialContext(ctx, c.socket)
	if err != nil {
		if sock.Down(err) {
			err = fmt.Errorf("%w (%w)", ErrDown, err)
		}
		return nil, err
	}
	return waitConn{conn}, nil
}

// waitConn gives each read and write its own deadline.
type waitConn struct{ net.Conn }

func (c waitConn) Read(p []byte) (int, error) {
	c.Conn.SetReadDeadline(time.Now().Add(wait))
	return c.Conn.Read(p)
}

func (c waitConn) Write(p []byte) (int, error) {
	c.Conn.SetWriteDeadline(time.Now().Add(wait))
	return c.Conn.Write(p)
}

// do sends a question and returns the answer; its body is the caller's to close. An
// answer that is an error is returned as one.
func (c *Client) do(ctx context.Context, method, path string, question any) (*http.Response, error) {
	var body io.Reader
	if question != nil {
		b, err := json.Marshal(question)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://aliasmx/v1/"+path, body)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // without the URL, which names nothing the user knows
		}
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, refusal(resp)
}

// maxRefusal is more than any error text is long.
const maxRefusal = 64 << 10

func refusal(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusForbidden:
		return ErrForbidden
	case http.StatusNotFound:
		return ErrNotFound
	}
	var t trailer
	if json.NewDecoder(io.LimitReader(resp.Body, maxRefusal)).Decode(&t) != nil || t.Error == "" {
		return fmt.Errorf("the daemon answered %s", resp.Status)
	}
	return errors.New(t.Error)
}

// ask sends a question and reads a short answer into answer, unless that is nil.
func (c *Client) ask(ctx context.Context, method, path string, question, answer any) error {
	resp, err := c.do(ctx, method, path, question)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if answer == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		return fmt.Errorf("answer of the daemon: %w", err)
	}
	return nil
}

// Health is nil when the daemon runs and does its work.
func (c *Client) Health(ctx context.Context) error {
	return c.ask(ctx, http.MethodGet, "health", nil, nil)
}

// Status describes the daemon.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var st Status
	err := c.ask(ctx, http.MethodGet, "status", nil, &st)
	return st, err
}

// Stop tells the daemon to end, and does not wait for that.
func (c *Client) Stop(ctx context.Context) error {
	return c.ask(ctx, http.MethodPost, "stop", nil, nil)
}

// Reload makes the daemon read its configuration again. An error that is not ErrDown
// or ErrForbidden says what is wrong with it; then nothing has changed.
func (c *Client) Reload(ctx context.Context) error {
	return c.ask(ctx, http.MethodPost, "reload", nil, nil)
}

// Flush has all mail tried now.
func (c *Client) Flush(ctx context.Context) error {
	return c.ask(ctx, http.MethodPost, "queue/flush", nil, nil)
}

// FlushID has one message tried now.
func (c *Client) FlushID(ctx context.Context, id mail.QueueID) error {
	return c.ask(ctx, http.MethodPost, "queue/flush?id="+id.String(), nil, nil)
}

// FlushDest has the mail for one destination tried now. With progress it waits until all
// messages have been looked at; without, for a few seconds: the daemon goes on by itself.
func (c *Client) FlushDest(ctx context.Context, site string, progress func(n int)) error {
	path := "queue/flush?site=" + url.QueryEscape(site)
	if progress == nil {
		return c.ask(ctx, http.MethodPost, path, nil, nil)
	}
	return readLines(ctx, c, http.MethodPost, path+"&watch=1", nil,
		func(done, _ int64) { progress(int(done)) }, func(trailer) bool { return false })
}

// Counts is how many messages are in each queue.
func (c *Client) Counts(ctx context.Context) (mail.QueueCounts, error) {
	st, err := c.Status(ctx)
	q := st.Queues
	return mail.QueueCounts{Incoming: q["incoming"], Active: q["active"], Deferred: q["deferred"], Hold: q["hold"], Corrupt: q["corrupt"]}, err
}

// HoldDest lets nothing be sent to a destination.
func (c *Client) HoldDest(ctx context.Context, dest mail.Dest, reason string) error {
	return olderDaemon(c.ask(ctx, http.MethodPost, "destinations/hold", heldLine{Dest: text(dest), Reason: text(reason)}, nil))
}

// ReleaseDest ends that.
func (c *Client) ReleaseDest(ctx context.Context, dest mail.Dest) error {
	return c.ask(ctx, http.MethodPost, "destinations/release", heldLine{Dest: text(dest)}, nil)
}

// HeldDests are the destinations on hold.
func (c *Client) HeldDests(ctx context.Context) ([]mail.HeldDest, error) {
	var lines []heldLine
	err := c.ask(ctx, http.MethodGet, "destinations/held", nil, &lines)
	var all []mail.HeldDest
	for _, l := range lines {
		all = append(all, l.mail())
	}
	return all, olderDaemon(err)
}
