package inspect

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// PolicyOptions are smtpd_policy_service_*; the zero value is not usable.
type PolicyOptions struct {
	Timeout       time.Duration // of a question and its answer (_timeout)
	MaxIdle       time.Duration // a connection without questions (_max_idle)
	MaxTTL        time.Duration // a connection (_max_ttl)
	RequestLimit  int           // questions on a connection; 0: any number (_request_limit)
	TryLimit      int           // attempts for a question (_try_limit)
	RetryDelay    time.Duration // between attempts (_retry_delay)
	DefaultAction string        // when no attempt had an answer (_default_action)
	Context       string        // told to the server as policy_context (_policy_context)

	// QueueDirectory is where the name of a unix: server begins that is no absolute path.
	QueueDirectory string
	// Common is told with every question, behind everything else.
	Common [][2]string

	Now  func() time.Time                                                     // nil: time.Now
	Dial func(ctx context.Context, network, address string) (net.Conn, error) // nil: the network
}

// Policy is a policy server. It is safe for concurrent use: each question under way has a
// connection of its own, and those without one are kept for the next.
type Policy struct {
	name             string
	network, address string
	o                PolicyOptions

	mu     sync.Mutex // guards what follows
	idle   []*policyConn
	closed bool
}

// maxIdleConns is how many connections are kept for one server.
const maxIdleConns = 32

// policyConn is a connection to a policy server.
type policyConn struct {
	nc     net.Conn
	r      *bufio.Reader
	opened time.Time
	used   time.Time
	asked  int
}

// Name is the server as it was configured.
func (p *Policy) Name() string { return p.name }

// DefaultAction is the action when there is no answer.
func (p *Policy) DefaultAction() string { return p.o.DefaultAction }

// Close closes the connections. Questions under way come to their end.
func (p *Policy) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var errs []error
	for _, c := range p.idle {
		errs = append(errs, c.nc.Close())
	}
	p.idle = nil
	return errors.Join(errs...)
}

// Ask sends attributes and returns the action. A connection that was kept may have been
// closed by the server since: then it is tried again, as often as the options say.
func (p *Policy) Ask(ctx context.Context, attributes [][2]string) (string, error) {
	question, err := p.question(attributes)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	for try := 1; ; try++ {
		c, kept, err := p.take(ctx)
		if err == nil {
			var action string
			if action, err = c.ask(ctx, question); err == nil {
				c.asked++
				p.give(c)
				return action, nil
			}
			c.nc.Close()
		}
		if try >= max(p.o.TryLimit, 1) || ctx.Err() != nil {
			return "", err
		}
		if !kept {
			if !p.wait(ctx) {
				return "", err
			}
		}
	}
}

// wait waits between attempts; it is false when there is no more time.
func (p *Policy) wait(ctx context.Context) bool {
	t := time.NewTimer(p.o.RetryDelay)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// take returns a connection: one that was kept, or a new one.
func (p *Policy) take(ctx context.Context) (c *policyConn, kept bool, err error) {
	now := p.o.Now()
	p.mu.Lock()
	for len(p.idle) > 0 && c == nil {
		last := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if now.Sub(last.used) < p.o.MaxIdle && now.Sub(last.opened) < p.o.MaxTTL {
			c = last
		} else {
			last.nc.Close()
		}
	}
	p.mu.Unlock()
	if c != nil {
		return c, true, nil
	}
	nc, err := p.o.Dial(ctx, p.network, p.address)
	if err != nil {
		return nil, false, err
	}
	return &policyConn{nc: nc, r: bufio.NewReaderSize(nc, 1024), opened: now}, false, nil
}

// give keeps a connection for the next question.
func (p *Policy) give(c *policyConn) {
	c.used = p.o.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= maxIdleConns || p.o.RequestLimit > 0 && c.asked >= p.o.RequestLimit {
		c.nc.Close()
		return
	}
	p.idle = append(p.idle, c)
}

// question is the attributes as they are sent: name=value lines and an empty one.
func (p *Policy) question(attributes [][2]string) ([]byte, error) {
	var b []byte
	own := [][2]string{{"policy_context", p.o.Context}}
	for _, list := range [][][2]string{attributes, own, p.o.Common} {
		for _, a := range list {
			if strings.ContainsAny(a[0]+a[1], "\n\x00") {
				return nil, fmt.Errorf("attribute %s has a line end in its value", a[0])
			}
			b = append(append(append(append(b, a[0]...), '='), a[1]...), '\n')
		}
	}
	return append(b, '\n'), nil
}

// ask sends a question and reads the answer.
func (c *policyConn) ask(ctx context.Context, question []byte) (string, error) {
	deadline, _ := ctx.Deadline()
	if err := c.nc.SetDeadline(deadline); err != nil {
		return "", err
	}
	// A context that ends before its deadline ends the wait, too.
	stop := context.AfterFunc(ctx, func() { c.nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := c.nc.Write(question); err != nil {
		return "", err
	}
	return readAnswer(c.r)
}

// What an answer may be at most.
const (
	maxAnswerLine  = 16 << 10
	maxAnswerLines = 100
)

// readAnswer reads name=value lines up to an empty one and returns action's value. Other
// attributes are passed over.
func readAnswer(r *bufio.Reader) (string, error) {
	action, found := "", false
	for range maxAnswerLines {
		line, err := readLine(r)
		if err != nil {
			return "", err
		}
		if line == "" {
			if !found {
				return "", errors.New("the answer has no action")
			}
			return action, nil
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return "", fmt.Errorf("malformed attribute %.100q in the answer", line)
		}
		if name == "action" && !found {
			action, found = strings.TrimSpace(value), true
		}
	}
	return "", fmt.Errorf("the answer has more than %d attributes", maxAnswerLines)
}

// readLine reads a line without its end.
func readLine(r *bufio.Reader) (string, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return strings.TrimSuffix(string(line[:len(line)-1]), "\r"), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		case len(line) > maxAnswerLine:
			return "", fmt.Errorf("the answer has a line of more than %d bytes", maxAnswerLine)
		}
	}
}
