package peers

import (
	"bytes"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
)

// CountSink is a next hop for benchmarks: it takes all there is, costs as little as it can,
// and counts. It understands a client that is right, and no other.
type CountSink struct {
	Addr string // IP:port

	tls      *tls.Config // offers STARTTLS; nil: does not
	ln       net.Listener
	messages atomic.Int64
	conns    atomic.Int64
	open     atomic.Int64
	most     atomic.Int64
	mu       sync.Mutex // guards all
	all      map[net.Conn]struct{}
}

// NewCountSink listens at addr ("127.0.0.1:0": a free port).
func NewCountSink(addr string, offers *tls.Config) (*CountSink, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &CountSink{Addr: ln.Addr().String(), tls: offers, ln: ln, all: map[net.Conn]struct{}{}}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.conns.Add(1)
			go s.serve(c)
		}
	}()
	return s, nil
}

// Count is how many messages have come, Conns how many connections, Most how many of these
// were open at a time.
func (s *CountSink) Count() int { return int(s.messages.Load()) }

// Conns is how many connections were accepted.
func (s *CountSink) Conns() int { return int(s.conns.Load()) }

// Most is how many connections were open at a time.
func (s *CountSink) Most() int { return int(s.most.Load()) }

// Stop closes the port and every connection.
func (s *CountSink) Stop() {
	s.ln.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.all {
		c.Close()
	}
}

func (s *CountSink) serve(c net.Conn) {
	s.mu.Lock()
	s.all[c] = struct{}{}
	s.mu.Unlock()
	for n := s.open.Add(1); ; {
		most := s.most.Load()
		if n <= most || s.most.CompareAndSwap(most, n) {
			break
		}
	}
	defer func() {
		c.Close()
		s.open.Add(-1)
		s.mu.Lock()
		delete(s.all, c)
		s.mu.Unlock()
	}()
	c.Write([]byte("220 sink.example ESMTP\r\n"))
	buf, replies := make([]byte, 32<<10), make([]byte, 0, 1024)
	have, inData, secured := 0, false, false
	for {
		n, err := c.Read(buf[have:])
		if err != nil {
			return
		}
		have += n
		rest := buf[:have]
		for more := true; more; {
			if inData {
				end := bytes.Index(rest, []byte("\r\n.\r\n"))
				if end < 0 {
					rest = rest[max(0, len(rest)-4):] // the end may be cut
					break
				}
				rest, inData = rest[end+5:], false
				s.messages.Add(1)
				replies = append(replies, "250 2.0.0 Ok: queued as SINK\r\n"...)
				continue
			}
			line, after, found := bytes.Cut(rest, []byte("\n"))
			if more = found; !found {
				break
			}
			rest = after
			switch verb := bytes.ToUpper(line[:min(4, len(line))]); string(verb) {
			case "EHLO":
				replies = append(replies, "250-sink.example\r\n250-PIPELINING\r\n250-SIZE\r\n250-8BITMIME\r\n"...)
				if s.tls != nil && !secured {
					replies = append(replies, "250-STARTTLS\r\n"...)
				}
				replies = append(replies, "250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n250 SMTPUTF8\r\n"...)
			case "DATA":
				replies = append(replies, "354 go\r\n"...)
				inData = true
				// The end of an empty message is the line after this one.
				rest = append([]byte("\r\n"), rest...)
			case "STAR":
				c.Write([]byte("220 2.0.0 go\r\n"))
				c, secured, rest = tls.Server(c, s.tls), true, nil
			case "QUIT":
				c.Write(append(replies, "221 2.0.0 Bye\r\n"...))
				return
			default:
				replies = append(replies, "250 2.0.0 Ok\r\n"...)
			}
		}
		have = copy(buf, rest)
		if len(replies) > 0 {
			if _, err := c.Write(replies); err != nil {
				return
			}
			replies = replies[:0]
		}
	}
}
