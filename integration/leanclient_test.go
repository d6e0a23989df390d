package integration

import (
	"bytes"
	"fmt"
	"net"
	"sync/atomic"
)

// leanSession sends letters over one connection, pipelined as far as SMTP allows, and costs
// as little as it can: a benchmark is to measure the relay.
func leanSession(addr, letter string, next *atomic.Int64, end int64, keep bool) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	l := &leanTalk{Conn: c}
	expect := l.expect
	say := func(text []byte) error {
		_, err := c.Write(text)
		return err
	}
	if err := expect("220"); err != nil {
		return err
	}
	say([]byte("EHLO client.example\r\n"))
	if err := expect("250"); err != nil {
		return err
	}
	content, envelope := []byte(letter), []byte("MAIL FROM:<sender@client.example>\r\nRCPT TO:<info@alias.example>\r\nDATA\r\n")
	for next.Add(1) <= end {
		say(envelope)
		if err := expect("250", "250", "354"); err != nil {
			return err
		}
		say(content)
		if err := expect("250"); err != nil {
			return err
		}
		if !keep {
			break
		}
	}
	say([]byte("QUIT\r\n"))
	return expect("221")
}

// leanTalk reads replies.
type leanTalk struct {
	net.Conn
	buf [4096]byte
}

// expect reads until lines have come that are the last of their replies, each with the code
// that is wanted.
func (l *leanTalk) expect(codes ...string) error {
	for have := 0; ; {
		n, err := l.Read(l.buf[have:])
		if err != nil {
			return err
		}
		have += n
		seen := 0
		for rest := l.buf[:have]; ; {
			line, after, found := bytes.Cut(rest, []byte("\n"))
			if !found || len(line) < 4 {
				break
			}
			rest = after
			if line[3] != ' ' {
				continue
			}
			if seen == len(codes) || string(line[:3]) != codes[seen] {
				return fmt.Errorf("got %q, want %s", line, codes)
			}
			seen++
		}
		if seen == len(codes) {
			return nil
		}
	}
}
