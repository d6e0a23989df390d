package smtpd

import (
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"aliasmx/internal/mail"
)

// What all clients of a process may hold together: connections (smtpd_client_limit_total)
// and memory of messages under way (smtpd_data_memory_limit). A client that comes when one
// of them is used up hears 421 at once and is gone: it tries the next MX, or later. One
// that is here already is told 452 at DATA and keeps its session (message.go): memory is
// free again within moments. When nearly all connections are taken, new clients are served
// under stress, as by Postfix's STRESS_README.

// Capacity counts over all servers that have it in their Options. The zero value is ready.
type Capacity struct {
	mu       sync.Mutex // guards what follows
	open     int        // connections
	inMemory int64      // reserved for messages under way
	stressed bool       // the last connections were admitted under stress
	refused  int        // since a line about it was last written
	said     time.Time  // when that was
	warned   time.Time  // when stress was last written about
}

const (
	// Stress begins with this share of the connections, and ends with less than that: at
	// the border the two must not alternate.
	stressBegins, stressEnds = 0.8, 0.6
	// sayAgain is how long the log is silent after a line about the whole server.
	sayAgain = time.Minute
	// dataReserve is what of a message under way is in memory: the queue keeps the rest on
	// disk.
	dataReserve = 128 << 10
)

// admit takes a connection, or says why there is no room for it. Each admitted connection
// is given back by one leave.
func (c *Capacity) admit(o *Options) (stressed bool, refused string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	used := ""
	switch {
	case o.MaxConnections > 0 && c.open >= o.MaxConnections:
		refused, used = "too many connections", fmt.Sprintf("smtpd_client_limit_total: all %d connections are in use", o.MaxConnections)
	case !c.hasMemory(o):
		refused, used = "too much mail under way", fmt.Sprintf("smtpd_data_memory_limit: all %d bytes are in use", o.DataMemoryLimit)
	default:
		c.open++
		return c.stress(o), ""
	}
	c.refused++
	if now := o.Now(); c.said.IsZero() || now.Sub(c.said) >= sayAgain {
		o.log.Warn(fmt.Sprintf("%s; %d new clients turned away", used, c.refused))
		c.said, c.refused = now, 0
	}
	return false, refused
}

// stress tells whether the connection that was just admitted is served under stress. The
// caller holds c.mu.
func (c *Capacity) stress(o *Options) bool {
	share := float64(c.open)
	switch most := float64(o.MaxConnections); {
	case most == 0 || c.stressed && share < stressEnds*most:
		c.stressed = false
	case !c.stressed && most > 1 && share >= stressBegins*most:
		c.stressed = true
		if now := o.Now(); c.warned.IsZero() || now.Sub(c.warned) >= sayAgain {
			o.Log.With(slog.String(mail.KeyDaemon, "master")).Warn(fmt.Sprintf(
				"service %q has %d of %d connections in use (smtpd_client_limit_total): new clients are served with stress=yes",
				o.Service, c.open, o.MaxConnections))
			c.warned = now
		}
	}
	return c.stressed
}

func (c *Capacity) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
}

// hasMemory tells whether a message more could be received. The caller holds c.mu.
func (c *Capacity) hasMemory(o *Options) bool {
	return c.has(o, dataReserve)
}

func (c *Capacity) has(o *Options, size int64) bool {
	return o.DataMemoryLimit <= 0 || c.inMemory+size <= o.DataMemoryLimit
}

// reserve takes memory for one more message under way and returns how much; 0: there is
// none left. It is given back by one release.
func (c *Capacity) reserve(o *Options) int64 {
	if !c.more(o, dataReserve) {
		return 0
	}
	return dataReserve
}

// more takes memory for a message under way that needs more than others, if there is any.
func (c *Capacity) more(o *Options, size int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	ok := c.has(o, size)
	if ok {
		c.inMemory += size
	}
	return ok
}

func (c *Capacity) release(size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inMemory -= size
}

const (
	// turnAwayTime is how long a client that is turned away may take to read why. Those
	// that take it are few at any time; others that are sending may see nothing but the end.
	turnAwayTime  = time.Second
	turningAway   = 64
	turnAwayBytes = 4 << 10 // read of what it has sent already
)

// turnAway tells a client that there is no room. It does not wait for anything: what may
// take a moment is done by one of few goroutines. A client that is to begin with TLS sees
// the connection end: a handshake is what there is no room for.
func (s *Server) turnAway(o *Options, nc net.Conn, why string) {
	if o.TLS != nil && o.TLS.Wrapper {
		nc.Close()
		return
	}
	// It fits into what the system buffers for a new connection, and so it goes at once.
	nc.SetDeadline(time.Now().Add(turnAwayTime))
	_, err := nc.Write([]byte("421 4.7.0 " + o.MyHostname + " Error: " + why + "\r\n"))
	if err != nil || !s.beginTurnAway() {
		nc.Close()
		return
	}
	go func() {
		defer s.endTurnAway()
		defer nc.Close()
		// With input that nobody has read, the client's system would drop the reply.
		if half, ok := nc.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
			for buf, n := make([]byte, 512), 0; n < turnAwayBytes; {
				got, err := nc.Read(buf)
				if err != nil {
					return
				}
				n += got
			}
		}
	}()
}

func (s *Server) beginTurnAway() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut || s.turning >= turningAway {
		return false
	}
	s.turning++
	s.running.Add(1)
	return true
}

func (s *Server) endTurnAway() {
	s.mu.Lock()
	s.turning--
	s.mu.Unlock()
	s.running.Done()
}
