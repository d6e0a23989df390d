package table

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// remote is a server that is asked one question after another over connections that
// stay open. A server that is away makes lookups fail; the next one tries again.
type remote struct {
	network, address string
	timeout          time.Duration // for one question with its answer

	mu     sync.Mutex // guards idle and closed
	idle   []*remoteConn
	closed bool
}

type remoteConn struct {
	net.Conn
	r *bufio.Reader
}

// maxIdleConns is how many connections to one server stay open.
const maxIdleConns = 8

// errRemoteClosed is a question to a table that was closed.
var errRemoteClosed = errors.New("table is closed")

// ask sends a request and reads the reply. A connection that was idle may have been
// closed by the server since: then a new one is tried.
func (r *remote) ask(ctx context.Context, request []byte, read func(*bufio.Reader) (string, error)) (string, error) {
	for {
		conn, reused, err := r.conn(ctx)
		if err != nil {
			return "", err
		}
		reply, err := conn.ask(ctx, r.timeout, request, read)
		if err == nil {
			r.putBack(conn)
			return reply, nil
		}
		conn.Close()
		if !reused || ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) {
			return "", err
		}
	}
}

func (r *remote) conn(ctx context.Context) (c *remoteConn, reused bool, err error) {
	r.mu.Lock()
	closed, n := r.closed, len(r.idle)
	if n > 0 {
		c = r.idle[n-1]
		r.idle = r.idle[:n-1]
	}
	r.mu.Unlock()
	switch {
	case closed:
		return nil, false, errRemoteClosed
	case c != nil:
		return c, true, nil
	}
	d := net.Dialer{Timeout: r.timeout}
	conn, err := d.DialContext(ctx, r.network, r.address)
	if err != nil {
		return nil, false, err
	}
	return &remoteConn{conn, bufio.NewReaderSize(conn, maxTCPReply)}, false, nil
}

func (r *remote) putBack(c *remoteConn) {
	r.mu.Lock()
	keep := !r.closed && len(r.idle) < maxIdleConns
	if keep {
		r.idle = append(r.idle, c)
	}
	r.mu.Unlock()
	if !keep {
		c.Close()
	}
}

// close closes the connections that are idle; one in use is closed when it is put back.
func (r *remote) close() {
	r.mu.Lock()
	idle := r.idle
	r.idle, r.closed = nil, true
	r.mu.Unlock()
	for _, c := range idle {
		c.Close()
	}
}

func (c *remoteConn) ask(ctx context.Context, timeout time.Duration, request []byte, read func(*bufio.Reader) (string, error)) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(deadline); err != nil {
			return "", err
		}
	}
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := c.Write(request); err != nil {
		return "", err
	}
	reply, err := read(c.r)
	if err == nil && c.r.Buffered() > 0 {
		err = errors.New("more than one reply to one request")
	}
	return reply, err
}
