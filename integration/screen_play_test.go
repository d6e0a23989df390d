package integration

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// play has a case's client do its steps, and returns the replies:
//
//	> TEXT       send a line, read the reply
//	send TEXT    send, with \r\n as written, and read nothing
//	read         read a reply
//	aside        connect once more, read a reply there
//	close        hang up
//	again        hang up and come back
//	sleep TIME   wait
func (c *screenCase) play(t *testing.T, addr string) (replies []string) {
	dial := func() (net.Conn, *bufio.Reader) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(c.client)}, Timeout: limit}
		for end := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
			conn, err := d.Dial("tcp", addr)
			if err == nil {
				c.connected++
				conn.SetDeadline(time.Now().Add(limit))
				return conn, bufio.NewReader(conn)
			}
			if time.Now().After(end) {
				t.Errorf("%s: %v", c.name, err)
				return nil, nil
			}
		}
	}
	c.connected = 0
	conn, r := dial()
	if conn == nil {
		return nil
	}
	defer func() { conn.Close() }()
	for _, step := range c.steps {
		word, rest, _ := strings.Cut(step, " ")
		switch word {
		case ">":
			fmt.Fprintf(conn, "%s\r\n", rest)
			replies = append(replies, c.reply(r))
		case "send":
			text, err := strconv.Unquote(`"` + rest + `"`)
			if err != nil {
				t.Errorf("%s: %s: %v", c.name, step, err)
			}
			conn.Write([]byte(text))
		case "read":
			replies = append(replies, c.reply(r))
		case "aside":
			other, or := dial()
			if other != nil {
				replies = append(replies, c.reply(or))
				other.Close()
			}
		case "close":
			conn.Close()
		case "again":
			conn.Close()
			time.Sleep(200 * time.Millisecond) // until it is noticed
			conn, r = dial()
		case "sleep":
			d, err := time.ParseDuration(rest)
			if err != nil {
				t.Errorf("%s: %s: %v", c.name, step, err)
			}
			time.Sleep(d)
		default:
			t.Errorf("%s: unknown step %q", c.name, step)
		}
	}
	return replies
}

// reply is one reply, its lines joined by \n.
func (c *screenCase) reply(r *bufio.Reader) string {
	var lines []string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return strings.Join(append(lines, "closed"), `\n`)
		}
		lines = append(lines, strings.ReplaceAll(strings.TrimRight(line, "\r\n"), c.client, "CLIENT"))
		if len(line) < 4 || line[3] == ' ' {
			return strings.Join(lines, `\n`)
		}
	}
}
