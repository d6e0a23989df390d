package login

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"aliasmx/internal/mechanism"
)

// Dovecot is a Source that asks Dovecot's auth service, by version 1 of its client
// protocol: lines of fields that TABs separate. Each exchange has a connection for
// itself; a few are kept for the next ones.
type Dovecot struct {
	Network, Address string // unix or tcp
	Service          string // smtpd_sasl_service
	Warn             func(string)
	Now              func() time.Time

	mu         sync.Mutex // guards what follows
	idle       []*dovecotConn
	mechanisms []Mechanism // of the last handshake
	tried      time.Time   // when a handshake has failed
	busy       int         // connections in use
	closed     bool
}

const (
	// dovecotTimeout is for each answer. Dovecot itself makes who guesses passwords wait up
	// to 17 seconds.
	dovecotTimeout = 30 * time.Second
	dialTimeout    = 10 * time.Second
	maxIdle        = 4
	maxBusy        = 200
	// retryAfter is how long mechanisms are not asked for again where nobody has answered.
	retryAfter = 5 * time.Second
	maxLine    = 64 << 10
)

var (
	errLost    = errors.New("Connection lost to authentication server")
	errAway    = errors.New("Can't connect to authentication server")
	errCrowded = errors.New("too many exchanges with the authentication server")
)

// dovecotConn is a connection after its handshake.
type dovecotConn struct {
	nc   net.Conn
	r    *bufio.Reader
	last uint32 // request
	used bool   // has come from the idle ones: Dovecot may have closed it
}

// Mechanisms implements Source. As long as Dovecot was never there they are PLAIN and
// LOGIN: a client that is offered nothing tells its user that this is no server for him,
// one that is told 454 tries again.
func (d *Dovecot) Mechanisms(ctx context.Context) []Mechanism {
	d.mu.Lock()
	known, recently := d.mechanisms, !d.tried.IsZero() && d.Now().Sub(d.tried) < retryAfter
	d.mu.Unlock()
	if known == nil && !recently {
		if c, err := d.connect(ctx); err == nil {
			d.release(c, true)
		}
		d.mu.Lock()
		known = d.mechanisms
		d.mu.Unlock()
	}
	if known == nil {
		return []Mechanism{{"PLAIN", mechanism.Plaintext}, {"LOGIN", mechanism.Plaintext}}
	}
	return known
}

// Begin implements Source. Nothing is sent before the first response is known.
func (d *Dovecot) Begin(ctx context.Context, r Request) (Exchange, error) {
	return &dovecotExchange{d: d, ctx: ctx, request: r}, nil
}

// Close implements Source.
func (d *Dovecot) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for _, c := range d.idle {
		c.nc.Close()
	}
	d.idle = nil
	return nil
}

// acquire takes an idle connection, or makes one.
func (d *Dovecot) acquire(ctx context.Context, fresh bool) (*dovecotConn, error) {
	d.mu.Lock()
	if n := len(d.idle); n > 0 && !fresh {
		c := d.idle[n-1]
		d.idle = d.idle[:n-1]
		d.busy++
		d.mu.Unlock()
		c.used = true
		return c, nil
	}
	d.mu.Unlock()
	return d.connect(ctx)
}

// release gives a connection back; one with something under way is closed, which ends it.
func (d *Dovecot) release(c *dovecotConn, clean bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.busy--
	if clean && !d.closed && len(d.idle) < maxIdle {
		d.idle = append(d.idle, c)
		return
	}
	c.nc.Close()
}

// connect makes a connection and takes over what Dovecot offers.
func (d *Dovecot) connect(ctx context.Context) (*dovecotConn, error) {
	d.mu.Lock()
	if d.busy >= maxBusy {
		d.mu.Unlock()
		return nil, errCrowded
	}
	d.busy++
	d.mu.Unlock()
	c, mechanisms, err := d.handshake(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.busy--
		d.tried = d.Now()
		d.Warn(fmt.Sprintf("SASL: Connect to Dovecot auth socket '%s' failed: %v", d.Address, err))
		return nil, errAway
	}
	d.mechanisms, d.tried = mechanisms, time.Time{}
	return c, nil
}

func (d *Dovecot) handshake(ctx context.Context) (*dovecotConn, []Mechanism, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	nc, err := dialer.DialContext(ctx, d.Network, d.Address)
	if err != nil {
		return nil, nil, err
	}
	c := &dovecotConn{nc: nc, r: bufio.NewReaderSize(nc, 4096)}
	// Dovecot wants another number of each connection that is open; in its own programs
	// that is the process ID, of which we have one for all of them.
	id := rand.Uint32()>>1 | 1<<30
	if err = c.send(ctx, "VERSION\t1\t0\nCPID\t"+strconv.FormatUint(uint64(id), 10)+"\n", dialTimeout); err == nil {
		var h handshake
		for !h.done && err == nil {
			var line string
			if line, err = c.line(); err == nil {
				err = h.take(line)
			}
		}
		if err == nil {
			return c, h.mechanisms, nil
		}
	}
	nc.Close()
	return nil, nil, err
}

// send writes lines and gives the other side the time to answer.
func (c *dovecotConn) send(ctx context.Context, s string, timeout time.Duration) error {
	end := time.Now().Add(timeout)
	if limit, ok := ctx.Deadline(); ok && limit.Before(end) {
		end = limit
	}
	c.nc.SetDeadline(end)
	_, err := c.nc.Write([]byte(s))
	return err
}

// line reads one line.
func (c *dovecotConn) line() (string, error) {
	var long []byte
	for {
		part, err := c.r.ReadSlice('\n')
		long = append(long, part...)
		switch {
		case err == nil:
			return string(long[:len(long)-1]), nil
		case err != bufio.ErrBufferFull:
			return "", err
		case len(long) > maxLine:
			return "", errors.New("line too long")
		}
	}
}

// dovecotExchange is an attempt to log in that Dovecot decides about.
type dovecotExchange struct {
	d       *Dovecot
	ctx     context.Context
	request Request
	conn    *dovecotConn // nil: not begun, or over
	user    string
	begun   bool
}

func (x *dovecotExchange) Username() string { return printable(x.user) }

// Close implements Exchange. Dovecot forgets a request whose connection is closed.
func (x *dovecotExchange) Close() {
	if x.conn != nil {
		x.d.release(x.conn, false)
		x.conn = nil
	}
}

// Next implements sasl.Server.
func (x *dovecotExchange) Next(response []byte) ([]byte, bool, error) {
	var r answer
	var err error
	switch {
	case !x.begun:
		x.begun = true
		r, err = x.begin(response)
	case x.conn == nil:
		return nil, true, unknown(errLost.Error())
	default:
		r, err = x.ask("CONT\t" + strconv.FormatUint(uint64(x.conn.last), 10) + "\t" + base64.StdEncoding.EncodeToString(response) + "\n")
	}
	if err != nil {
		x.Close()
		return nil, true, unknown(err.Error())
	}
	if r.user != "" {
		x.user = r.user
	}
	switch r.kind {
	case "CONT":
		challenge, err := base64.StdEncoding.DecodeString(r.challenge)
		if err != nil {
			x.Close()
			x.d.Warn("SASL: Dovecot has sent a challenge that is not base64")
			return nil, true, unknown("Authentication backend error")
		}
		return challenge, false, nil
	case "OK":
		x.over()
		if x.user == "" {
			x.d.Warn("missing Dovecot server OK username field")
			return nil, true, unknown("Authentication backend error")
		}
		return nil, true, nil
	}
	x.over()
	if r.temporary {
		return nil, true, unknown(reason(r))
	}
	return nil, true, failed(reason(r))
}

func reason(r answer) string {
	if r.reason == "" {
		return "(reason unavailable)"
	}
	return printable(r.reason)
}

// over gives the connection back after the last answer.
func (x *dovecotExchange) over() {
	x.d.release(x.conn, true)
	x.conn = nil
}

// begin sends the request. A connection that was idle may have been closed meanwhile: then
// once more on a new one.
func (x *dovecotExchange) begin(response []byte) (answer, error) {
	for fresh := false; ; fresh = true {
		c, err := x.d.acquire(x.ctx, fresh)
		if err != nil {
			return answer{}, err
		}
		x.conn = c
		c.last++
		r, err := x.ask(x.line(response))
		if err == nil || fresh || !c.used {
			return r, err
		}
		x.Close()
	}
}

// line is the request. The response has to be its last field.
func (x *dovecotExchange) line(response []byte) string {
	var b strings.Builder
	b.WriteString("AUTH\t" + strconv.FormatUint(uint64(x.conn.last), 10) + "\t" + x.request.Mechanism +
		"\tservice=" + x.d.Service + "\tnologin")
	if a := x.request.Server; a.IsValid() {
		b.WriteString("\tlip=" + a.Addr().String() + "\tlport=" + strconv.Itoa(int(a.Port())))
	}
	if a := x.request.Client; a.IsValid() {
		b.WriteString("\trip=" + a.Addr().String() + "\trport=" + strconv.Itoa(int(a.Port())))
	}
	if x.request.Secured {
		b.WriteString("\tsecured")
	}
	if response != nil {
		text := base64.StdEncoding.EncodeToString(response)
		if text == "" {
			text = "="
		}
		b.WriteString("\tresp=" + text)
	}
	return b.String() + "\n"
}

// ask sends a line and waits for the answer to this request. Other lines mean nothing.
func (x *dovecotExchange) ask(line string) (answer, error) {
	if err := x.conn.send(x.ctx, line, dovecotTimeout); err != nil {
		return answer{}, errLost
	}
	for {
		line, err := x.conn.line()
		if err != nil {
			return answer{}, errLost
		}
		if r, ok := parseAnswer(line); ok && r.id == x.conn.last {
			return r, nil
		}
	}
}
