package inspect

import (
	"bufio"
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// server answers questions on pipes with what answer says; "" closes the connection.
type server struct {
	mu    sync.Mutex
	dials int
	asked []string
	wg    sync.WaitGroup
}

func (s *server) dial(answer func(question string) string) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		s.mu.Lock()
		s.dials++
		s.mu.Unlock()
		s.wg.Go(func() {
			defer far.Close()
			r := bufio.NewReader(far)
			for {
				question := ""
				for {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					if line == "\n" {
						break
					}
					question += line
				}
				s.mu.Lock()
				s.asked = append(s.asked, question)
				s.mu.Unlock()
				text := answer(question)
				if text == "" {
					return
				}
				if _, err := far.Write([]byte(text)); err != nil {
					return
				}
			}
		})
		return near, nil
	}
}

func options(s *server, answer func(string) string) PolicyOptions {
	return PolicyOptions{
		Timeout: 2 * time.Second, MaxIdle: time.Minute, MaxTTL: time.Hour, TryLimit: 2, RetryDelay: time.Millisecond,
		DefaultAction: "451 4.3.5 x", Context: "ctx", Common: [][2]string{{"mail_version", "1"}}, Dial: s.dial(answer),
	}
}

// A connection serves many questions, and a new one comes when the server has closed it.
func TestPolicyConnections(t *testing.T) {
	s := new(server)
	defer s.wg.Wait()
	p, err := NewPolicy("inet:policy.example:10023", options(s, func(string) string { return "action=DUNNO\n\n" }))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for range 3 {
		if action, err := p.Ask(context.Background(), [][2]string{{"sender", "a=b"}}); action != "DUNNO" || err != nil {
			t.Errorf("%q, %v", action, err)
		}
	}
	if s.dials != 1 {
		t.Errorf("%d connections", s.dials)
	}
	if want := "sender=a=b\npolicy_context=ctx\nmail_version=1\n"; s.asked[0] != want {
		t.Errorf("asked %q, want %q", s.asked[0], want)
	}
	if _, err := p.Ask(context.Background(), [][2]string{{"sender", "a\nrecipient=b"}}); err == nil {
		t.Error("a line end got into a question")
	}
}

func TestPolicyFailures(t *testing.T) {
	for _, tt := range []struct{ name, answer, want string }{
		{"closes", "", "EOF"},
		{"no action", "x=y\n\n", "no action"},
		{"no attribute", "DUNNO\n\n", "malformed"},
		{"endless line", strings.Repeat("a", 1<<15), "more than"},
		{"endless attributes", strings.Repeat("a=b\n", 200), "more than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := new(server)
			defer s.wg.Wait()
			p, err := NewPolicy("unix:private/policy", options(s, func(string) string { return tt.answer }))
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if _, err := p.Ask(context.Background(), nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %s", err, tt.want)
			}
			if s.dials != 2 {
				t.Errorf("%d attempts, want 2", s.dials)
			}
		})
	}
}

func TestNewPolicy(t *testing.T) {
	o := PolicyOptions{QueueDirectory: "/q", DefaultAction: "451 x"}
	for spec, want := range map[string]string{
		"inet:127.0.0.1:10023": "tcp 127.0.0.1:10023 0s 451 x",
		"inet:10023":           "tcp localhost:10023 0s 451 x",
		"inet:[::1]:10023":     "tcp [::1]:10023 0s 451 x",
		"unix:private/policy":  "unix /q/private/policy 0s 451 x",
		"unix:/run/policy":     "unix /run/policy 0s 451 x",
		"{ inet:a:1, timeout=10s, default_action=OK}": "tcp a:1 10s OK",
		"{unix:/x { default_action = 450 4.1.1 no }}": "unix /x 0s 450 4.1.1 no",
	} {
		p, err := NewPolicy(spec, o)
		if err != nil {
			t.Errorf("%s: %v", spec, err)
			continue
		}
		if got := p.network + " " + p.address + " " + p.o.Timeout.String() + " " + p.DefaultAction(); got != want {
			t.Errorf("%s: %s, want %s", spec, got, want)
		}
	}
	for _, spec := range []string{"", "inet:", "inet:host", "inet:host:0", "inet::25", "tcp:x:1", "unix:", "{}", "{ inet:a:1", "{inet:a:1 color=red}", "{inet:a:1 timeout=soon}", "{inet:a:1 try_limit=x}", "{inet:a:1 x}"} {
		if _, err := NewPolicy(spec, o); err == nil {
			t.Errorf("%q is taken", spec)
		}
	}
}

// No answer is more than its action, or takes more memory than an answer may.
func FuzzPolicyAnswer(f *testing.F) {
	for _, seed := range []string{"action=DUNNO\n\n", "a=b\r\naction=reject x\r\n\r\n", "action\n\n", "\n", "action=\n\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		action, err := readAnswer(bufio.NewReaderSize(strings.NewReader(answer), 16))
		if err == nil && (strings.ContainsAny(action, "\n") || !strings.Contains(answer, "action=")) {
			t.Errorf("%q: %q", answer, action)
		}
	})
}
