package screen

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// How long a client waits, and what comes of it.
func TestEarly(t *testing.T) {
	type event struct {
		at   time.Duration
		says string // "": hangs up
	}
	for _, c := range []struct {
		name   string
		change func(*Options)
		sites  string
		lists  map[string]string // domain: delay answer
		events []event
		after  time.Duration
		passed bool
		heard  string
		log    string
	}{
		{"silent", nil, "", nil, nil, 6 * time.Second, true, "220-mx.example wait|", "PASS NEW C"},
		{"no banner", func(o *Options) { o.GreetBanner = "" }, "", nil, nil, 0, true, "", ""},
		{"talks, ignored", nil, "", nil, []event{{2 * time.Second, "NOOP\r\n"}}, 2 * time.Second, true,
			"220-mx.example wait|", `PREGREET 6 after 2 from C: NOOP\r\n`},
		{"talks, dropped", func(o *Options) { o.GreetAction = Drop }, "", nil, []event{{1500 * time.Millisecond, "HELO\r\n"}}, 1500 * time.Millisecond, false,
			"220-mx.example wait|521 5.5.1 Protocol error|", `PREGREET 6 after 1.5 from C: HELO\r\n|DISCONNECT C`},
		{"hangs up", nil, "", nil, []event{{40 * time.Millisecond, ""}}, 40 * time.Millisecond, false, "220-mx.example wait|",
			"HANGUP after 0.04 from C in tests before SMTP handshake|DISCONNECT C"},
		{"talks while lists are asked", nil, "bl.example", map[string]string{"bl.example": "4s"}, []event{{time.Second, "x"}}, 4 * time.Second, true,
			"220-mx.example wait|", "PREGREET 1 after 1 from C: x"},
		{"lists are quick", nil, "bl.example", map[string]string{"bl.example": "1s"}, nil, 6 * time.Second, true, "220-mx.example wait|", "PASS NEW C"},
		{"lists alone", func(o *Options) { o.GreetBanner = "" }, "bl.example bl2.example", map[string]string{"bl.example": "1s", "bl2.example": "3s"}, nil,
			3 * time.Second, true, "", "PASS NEW C"},
		{"lists are slow", func(o *Options) { o.DNSBLAction = Drop }, "bl.example bl2.example",
			map[string]string{"bl.example": "1s", "bl2.example": "9s 127.0.0.2"}, nil, 6 * time.Second, true, "220-mx.example wait|", "PASS NEW C"},
		{"listed", func(o *Options) { o.DNSBLAction = Drop }, "bl.example*2 bl2.example",
			map[string]string{"bl.example": "1s 127.0.0.2", "bl2.example": "2s 127.0.0.3"}, nil, 6 * time.Second, false,
			"220-mx.example wait|521 5.7.1 Service unavailable; client [192.0.2.1] blocked using bl.example|", "DNSBL rank 3 for C|DISCONNECT C"},
		{"listed, alone", func(o *Options) { o.DNSBLAction, o.GreetBanner = Drop, "" }, "bl.example", map[string]string{"bl.example": "1s 127.0.0.2"}, nil,
			time.Second, false, "521 5.7.1 Service unavailable; client [192.0.2.1] blocked using bl.example|", "DNSBL rank 1 for C|DISCONNECT C"},
		{"a list fails", func(o *Options) { o.DNSBLAction = Drop }, "bl.example", map[string]string{"bl.example": "1s broken"}, nil, 6 * time.Second, true,
			"220-mx.example wait|", "PASS NEW C"},
		{"good", func(o *Options) { o.AllowThreshold = -1 }, "wl.example*-2 bl.example", map[string]string{"wl.example": "1s 127.0.0.2", "bl.example": "2s"}, nil,
			2 * time.Second, true, "220-mx.example wait|", "PASS NEW C"},
		{"good, but talked", func(o *Options) { o.AllowThreshold = -1 }, "wl.example*-2", map[string]string{"wl.example": "2s 127.0.0.2"},
			[]event{{time.Second, "x"}}, 2 * time.Second, true, "220-mx.example wait|", "PREGREET 1 after 1 from C: x"},
		{"good, and to be tested deeply", func(o *Options) { o.AllowThreshold, o.NonSMTP.Enable = -1, true }, "wl.example*-2",
			map[string]string{"wl.example": "2s 127.0.0.2"}, nil, 2 * time.Second, true, "220-mx.example wait|", "PASS NEW C"},
		{"good as far as is known", func(o *Options) { o.AllowThreshold, o.NonSMTP.Enable = -1, true }, "wl.example*-2 bl.example",
			map[string]string{"wl.example": "2s 127.0.0.2", "bl.example": "9s"}, nil, 6 * time.Second, true, "220-mx.example wait|", "PASS NEW C"},
		{"not that good", func(o *Options) { o.AllowThreshold = -3 }, "wl.example*-2", map[string]string{"wl.example": "2s 127.0.0.2"}, nil,
			6 * time.Second, true, "220-mx.example wait|", "PASS NEW C"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlace(t, func(o *Options) {
					o.Sites = sites(t, c.sites)
					if c.change != nil {
						c.change(o)
					}
				})
				for domain, text := range c.lists {
					delay, answer, _ := strings.Cut(text, " ")
					p.lists.delay[domain], _ = time.ParseDuration(delay)
					p.lists.answers[domain] = answer
				}
				v := p.enter("192.0.2.1")
				for _, e := range c.events {
					time.Sleep(e.at - time.Since(v.began))
					if e.says == "" {
						v.conn.Close()
						continue
					}
					v.say(e.says)
				}
				passed := v.end()
				heard := strings.ReplaceAll(v.words(), "\r\n", "|")
				var log []string
				for line := range strings.SplitSeq(p.log.take(), "\n") {
					if rest, ok := strings.CutPrefix(line, "postscreen: "); ok && !strings.HasPrefix(rest, "CONNECT") {
						log = append(log, strings.ReplaceAll(rest, "[192.0.2.1]:1024", "C"))
					}
				}
				if passed != c.passed || v.after != c.after || heard != c.heard || strings.Join(log, "|") != c.log {
					t.Errorf("passed %v after %v, heard %q, log %q\nwant   %v after %v, heard %q, log %q",
						passed, v.after, heard, strings.Join(log, "|"), c.passed, c.after, c.heard, c.log)
				}
				v.leave()
				time.Sleep(20 * time.Second) // until the lists have answered
			})
		})
	}
}

// Nothing is lost of what a client says too early.
func TestNothingLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, nil)
		v := p.enter("192.0.2.1")
		v.say("EHLO a\r\nMAIL FROM:<>\r\n")
		if !v.end() {
			t.Fatal("not handed on")
		}
		go v.conn.Write([]byte("QUIT\r\n"))
		const want = "EHLO a\r\nMAIL FROM:<>\r\nQUIT\r\n"
		got := make([]byte, len(want))
		time.Sleep(time.Minute) // no deadline is left of the tests
		if _, err := io.ReadFull(v.on, got[:3]); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(v.on, got[3:]); err != nil || string(got) != want {
			t.Errorf("got %q, %v", got, err)
		}
		v.leave()
	})
}

// Connections of a client at a time share one question to each list.
func TestSharedRank(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, func(o *Options) { o.Sites, o.DNSBLAction = sites(t, "bl.example bl2.example=127.0.0.3"), Drop })
		p.lists.delay["bl.example"] = 4 * time.Second
		p.lists.answers["bl.example"] = "127.0.0.2"
		asked := func() string { return fmt.Sprint(p.lists.asked) }

		a := p.enter("192.0.2.1")
		time.Sleep(2 * time.Second)
		b := p.enter("192.0.2.1")
		gone := p.enter("192.0.2.1")
		gone.conn.Close()
		gone.leave()
		c := p.enter("192.0.2.1")
		other := p.enter("2001:db8::1")
		if want := "map[bl.example:2 bl2.example:2]"; asked() != want {
			t.Errorf("asked %s, want %s: once for each client", asked(), want)
		}
		if a.leave() || b.leave() || c.leave() || other.leave() == false {
			t.Error("a client on a list has passed, or another has not")
		}
		if a.after != 6*time.Second || b.after != 6*time.Second {
			t.Errorf("after %v and %v", a.after, b.after)
		}
		if len(p.d.ranks.byAddr) != 0 {
			t.Errorf("ranks are left: %v", p.d.ranks.byAddr)
		}
		if p.enter("192.0.2.1").leave() {
			t.Error("it has passed when it came back")
		}
		if want := "map[bl.example:3 bl2.example:3]"; asked() != want {
			t.Errorf("asked %s, want %s", asked(), want)
		}
	})
}

// A list that does not answer at all is told of once.
func TestListTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, func(o *Options) {
			o.Sites, o.GreetWait = sites(t, "bl.example"), time.Minute
			o.GreetBanner = ""
		})
		p.lists.delay["bl.example"] = time.Hour
		v := p.enter("192.0.2.1")
		if !v.leave() || v.after != 10*time.Second {
			t.Errorf("after %v", v.after)
		}
		if got := p.log.take(); !strings.Contains(got, "postscreen: warning: dnsblog reply timeout 10s for bl.example") {
			t.Errorf("log:\n%s", got)
		}
	})
}

// A shutdown ends everybody's wait.
func TestShutdown(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"pregreet":   nil,
		"has talked": func(o *Options) { o.Sites = sites(t, "slow.example") },
		"lists":      func(o *Options) { o.Sites, o.GreetBanner = sites(t, "slow.example"), "" },
		"engine":     func(o *Options) { o.Access, o.Denylist = []Rule{{word: "reject"}}, Enforce },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlace(t, change)
				p.lists.delay["slow.example"] = time.Hour
				v := p.enter("192.0.2.1")
				time.Sleep(time.Second)
				if name == "has talked" {
					v.say("x")
				}
				if name == "engine" {
					time.Sleep(10 * time.Second)
					v.say("HELO a\r\n")
				}
				at := time.Now()
				p.close()
				if v.end() || time.Since(at) != 0 {
					t.Errorf("it went on for %v", time.Since(at))
				}
				if got := v.words(); !strings.HasSuffix(got, "421 4.3.2 mx.example Service shutting down\r\n") {
					t.Errorf("heard %q", got)
				}
				v.leave()
				time.Sleep(time.Minute)
			})
		})
	}
}
