package delivery

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
)

func letters(n int) []*mail.Attempt {
	var all []*mail.Attempt
	for range n {
		all = append(all, letter("r@dest.example"))
	}
	return all
}

func TestConnectionIsReused(t *testing.T) {
	for _, pipelining := range []bool{true, false} {
		p := &peer{}
		if pipelining {
			p.keywords = allKeywords
		}
		s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
		src := s.send("smtp:[192.0.2.1]", letters(5)...)
		for i, r := range src.results {
			if r[0].State != mail.Delivered || r[0].ConnUse != i+1 {
				t.Errorf("message %d: conn_use %d, %s", i, r[0].ConnUse, fate(r[0]))
			}
		}
		s.net.wait()
		if p.count() != 1 || len(p.got()) != 5 {
			t.Errorf("%d connections, %d messages", p.count(), len(p.got()))
		}
		if got := initials(p.commands(1)); got != strings.Repeat("M R D ", 5)+"Q" {
			t.Errorf("commands %q", got)
		}
	}
}

// A transaction that was opened and led nowhere is ended with RSET before the next; one
// that was never opened, or is over, needs none.
func TestResetOnlyWhereNeeded(t *testing.T) {
	for _, c := range []struct {
		name string
		cmd  string
		want string
	}{
		{"all recipients refused", "RCPT", "M R D R M R D Q"},
		{"DATA refused", "DATA", "M R D R M R D Q"},
		{"sender refused", "MAIL", "M R D M R D Q"},
		{"content refused", ".", "M R D M R D Q"},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := 0
			p := &peer{keywords: allKeywords, on: func(_ int, cmd string) string {
				if strings.HasPrefix(cmd, c.cmd) {
					if asked++; asked == 1 {
						return "450 4.0.0 not now"
					}
				}
				return ""
			}}
			s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
			src := s.send("smtp:[192.0.2.1]", letters(2)...)
			if src.results[0][0].State != mail.Deferred || src.results[1][0].State != mail.Delivered {
				t.Errorf("got %s and %s", fates(src.results[0]), fates(src.results[1]))
			}
			s.net.wait()
			if got := initials(p.commands(1)); got != c.want {
				t.Errorf("commands %q, want %q", got, c.want)
			}
		})
	}
}

// The server gave up the connection while it waited. That is nobody's failure: the
// message goes out over a new one.
func TestStaleConnection(t *testing.T) {
	for _, c := range []struct {
		name, cmd, reply string
		want             string // fate of the second message
		conns            int
	}{
		{"hung up", "MAIL", "close", "sent 2.0.0", 2},
		{"421", "MAIL", "421 4.4.2 idle too long| close", "sent 2.0.0", 2},
		{"lost at RCPT", "RCPT", "close", "sent 2.0.0", 2},
		{"lost at DATA", "DATA", "close", "sent 2.0.0", 2},
		{"lost in the content", "DATA", "354 go| close", "deferred 4.4.2", 1},
		{"lost after the dot", ".", "close", "deferred 4.4.2", 1},
		{"refused", "MAIL", "450 4.7.1 not you", "deferred 4.7.1", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := 0
			p := &peer{keywords: allKeywords, on: func(conn int, cmd string) string {
				if conn == 1 && strings.HasPrefix(cmd, c.cmd) {
					if asked++; asked == 2 {
						return c.reply
					}
				}
				return ""
			}}
			s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
			src := s.send("smtp:[192.0.2.1]", letters(2)...)
			if got := fates(src.results[1]); !strings.HasPrefix(got, c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if good := src.feedback[1] == mail.FeedbackGood; good != (c.conns == 2 || c.name == "refused") {
				t.Errorf("feedback good: %v", good)
			}
			if p.count() != c.conns {
				t.Errorf("%d connections, want %d", p.count(), c.conns)
			}
			if c.conns == 2 && (src.results[1][0].ConnUse != 1 || len(p.got()) != 2) {
				t.Errorf("conn_use %d, %d messages", src.results[1][0].ConnUse, len(p.got()))
			}
		})
	}
}

// A server that speaks between two messages, be it a farewell or a reply too many, is not
// used for the second: its words would be taken for replies.
func TestServerThatSpeaksUnasked(t *testing.T) {
	for _, word := range []string{"421 4.4.2 idle too long", "250 2.0.0 and once more"} {
		for _, tcp := range []bool{false, true} {
			p := &peer{keywords: allKeywords, on: func(conn int, cmd string) string {
				if conn == 1 && cmd == "." {
					return "250 2.0.0 Ok\n" + word
				}
				return ""
			}}
			s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
			s.net.tcp = tcp
			src := s.send("smtp:[192.0.2.1]", letters(2)...)
			if got := fates(src.results[1]); !strings.HasPrefix(got, "sent") || p.count() != 2 {
				t.Errorf("%s: %d connections, %s", word, p.count(), got)
			}
		}
	}
}

// A connection is stale only once for a message: the new one has to do.
func TestStaleOnlyOnce(t *testing.T) {
	mails := 0
	p := &peer{on: func(_ int, cmd string) string {
		if strings.HasPrefix(cmd, "MAIL") {
			if mails++; mails > 1 {
				return "close"
			}
		}
		return ""
	}}
	s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
	src := s.send("smtp:[192.0.2.1]", letters(2)...)
	if got := fates(src.results[1]); !strings.HasPrefix(got, "deferred 4.4.2") || p.count() != 2 {
		t.Errorf("%d connections, %s", p.count(), got)
	}
}

func TestRSETRefused(t *testing.T) {
	p := &peer{keywords: allKeywords, on: func(conn int, cmd string) string {
		switch {
		case conn == 1 && strings.HasPrefix(cmd, "RCPT"):
			return "550 no"
		case cmd == "RSET":
			return "500 what?"
		}
		return ""
	}}
	s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
	src := s.send("smtp:[192.0.2.1]", letters(2)...)
	if got := fates(src.results[1]); !strings.HasPrefix(got, "sent") || p.count() != 2 {
		t.Errorf("%d connections, %s", p.count(), got)
	}
}

// What forbids further mail over a connection.
func TestConnectionIsNotReused(t *testing.T) {
	for _, c := range []struct {
		name    string
		answers map[string]string
		o       Options
		conns   int
	}{
		{"as many as may", nil, Options{ReuseCount: 2}, 2},
		{"each once", nil, Options{CacheTime: -1}, 4},
		{"syntax error", map[string]string{"RCPT TO:<r": "501 5.5.4 syntax"}, Options{}, 4},
		{"555", map[string]string{"MAIL": "555 5.5.4 what?"}, Options{}, 4},
		{"421 and stays", map[string]string{"RCPT TO:<r": "421 4.7.0 slow down"}, Options{}, 4},
		{"garbage", map[string]string{"MAIL": "junk\n250 2.1.0 ok"}, Options{}, 4},
		{"plain refusals are no reason", map[string]string{"RCPT TO:<r": "550 5.1.1 no"}, Options{}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &peer{on: script(c.answers)}
			s := newSetup(t, map[string]any{"192.0.2.1:25": p}, c.o)
			s.send("smtp:[192.0.2.1]", letters(4)...)
			if p.count() != c.conns {
				t.Errorf("%d connections, want %d", p.count(), c.conns)
			}
		})
	}
}

// An idle connection waits for more as long as the queue is told, and not beyond the
// time a connection may be used.
func TestLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{}
		s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{ReuseTime: 25 * time.Second, CacheTime: 10 * time.Second})
		src := &source{t: t, attempts: letters(1)}
		src.idle = func(_ context.Context, d time.Duration) *mail.Attempt {
			if d != 10*time.Second {
				t.Errorf("waits %v", d)
			}
			if len(src.results) == 5 {
				return nil
			}
			<-time.After(d - time.Second)
			return letter("r@dest.example")
		}
		s.Work(t.Context(), "smtp:[192.0.2.1]", src)
		s.net.wait()
		// At 0, 9 and 18 seconds over the first; at 27 and 36 over the second.
		if p.count() != 2 || initials(p.commands(1)) != "M R D M R D M R D Q" || initials(p.commands(2)) != "M R D M R D Q" {
			t.Errorf("%d connections, %v, %v", p.count(), p.commands(1), p.commands(2))
		}
	})
}

func TestNoLingerWithoutConnection(t *testing.T) {
	s := newSetup(t, map[string]any{}, Options{})
	src := s.send("smtp:[192.0.2.1]", letters(1)...)
	if len(src.waited) != 1 || src.waited[0] != 0 {
		t.Errorf("waited %v", src.waited)
	}
}

// A recipient that the reused connection's host refuses for now goes to the next host,
// as on a new connection.
func TestReusedConnectionHasOtherHosts(t *testing.T) {
	rcpts := 0
	first := &peer{on: func(_ int, cmd string) string {
		if strings.HasPrefix(cmd, "RCPT") {
			if rcpts++; rcpts == 2 {
				return "452 4.5.3 enough"
			}
		}
		return ""
	}}
	second := &peer{}
	s := newSetup(t, map[string]any{"192.0.2.1:25": first, "192.0.2.2:25": second}, Options{DNSEnabled: true, Resolver: mxZone(2)})
	src := s.send("smtp:dest.example", letters(3)...)
	want := []string{"mx1.example[192.0.2.1]:25", "mx2.example[192.0.2.2]:25", "mx2.example[192.0.2.2]:25"}
	for i, r := range src.results {
		if r[0].State != mail.Delivered || r[0].Relay != want[i] {
			t.Errorf("message %d: %s, want by %s", i, fate(r[0]), want[i])
		}
	}
}

// New options hold from the next attempt on, over a new connection.
func TestUpdate(t *testing.T) {
	p := &peer{}
	s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
	src := &source{t: t, attempts: letters(1)}
	src.idle = func(context.Context, time.Duration) *mail.Attempt {
		if len(src.results) == 2 {
			return nil
		}
		o := s.options
		o.HeloName = "new.example.com"
		s.Update(o)
		return letter("r@dest.example")
	}
	s.Work(t.Context(), "smtp:[192.0.2.1]", src)
	s.net.wait()
	if p.count() != 2 || p.commands(1)[0] != "EHLO mx.example.com" || p.commands(2)[0] != "EHLO new.example.com" {
		t.Errorf("%v %v", p.commands(1), p.commands(2))
	}
}

// When the caller's context ends, the attempt under way is finished and no other begun.
func TestContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := &peer{on: func(_ int, cmd string) string {
		if cmd == "DATA" {
			cancel()
		}
		return ""
	}}
	s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
	src := &source{t: t, attempts: letters(3)}
	s.Work(ctx, "smtp:[192.0.2.1]", src)
	if len(src.results) != 1 || src.results[0][0].State != mail.Delivered || len(src.attempts) != 2 {
		t.Errorf("%d attempts done, %d left", len(src.results), len(src.attempts))
	}
	s.net.wait()
	if got := initials(p.commands(1)); got != "M R D Q" {
		t.Errorf("commands %q", got)
	}
}

// Close cuts off what is under way: it is deferred, at every stage.
func TestClose(t *testing.T) {
	for _, stage := range []any{
		"silent",
		&peer{on: script(map[string]string{"connect": "stall"})},
		&peer{on: script(map[string]string{"MAIL": "stall"})},
		&peer{on: script(map[string]string{".": "stall"})},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSetup(t, map[string]any{"192.0.2.1:25": stage}, Options{})
			src := &source{t: t, attempts: letters(2)}
			began := time.Now()
			var working sync.WaitGroup
			working.Go(func() { s.Work(t.Context(), "smtp:[192.0.2.1]", src) })
			synctest.Wait()
			s.Close()
			working.Wait()
			if time.Since(began) != 0 {
				t.Errorf("took %v", time.Since(began))
			}
			if len(src.results) != 1 || src.results[0][0].State != mail.Deferred {
				t.Errorf("got %v", src.results)
			}
		})
	}
	s := newSetup(t, map[string]any{"192.0.2.1:25": &peer{}}, Options{})
	s.Close()
	src := s.send("smtp:[192.0.2.1]", letters(2)...)
	if len(src.results) != 1 || fates(src.results[0]) != "deferred 4.3.2 none (the mail system is stopping)" {
		t.Errorf("after Close: %v", src.results)
	}
}
