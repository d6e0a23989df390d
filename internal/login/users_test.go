package login

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/mechanism"
	"aliasmx/internal/table"
)

// book is a table of users.
type book struct {
	entries map[string]string
	err     error
	asked   []string
}

func (b *book) Lookup(_ context.Context, key string) (string, bool, error) {
	b.asked = append(b.asked, key)
	v, ok := b.entries[key]
	return v, ok, b.err
}
func (b *book) Name() string { return "hash:/users" }
func (b *book) Close() error { return nil }

// said collects warnings.
type said struct {
	mu    sync.Mutex
	lines []string
}

func (s *said) warn(text string) { s.mu.Lock(); defer s.mu.Unlock(); s.lines = append(s.lines, text) }
func (s *said) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

func usersOf(b *book, s *said) *Users {
	return &Users{Table: table.Maps{b}, Gate: new(Gate), Warn: s.warn}
}

// play sends responses and returns what comes back: challenges, then "ok USER" or the
// reply. "-" is no initial response.
func play(t *testing.T, l *Logins, mechanism string, responses ...string) string {
	t.Helper()
	x, err := l.Start(t.Context(), Request{Mechanism: mechanism})
	var got []string
	if err == nil {
		defer x.Close()
		for _, r := range responses {
			var response []byte
			if r != "-" {
				response = []byte(r)
			}
			var challenge []byte
			var done bool
			if challenge, done, err = x.Next(response); err != nil {
				break
			}
			if done {
				got = append(got, "ok "+x.Username())
			} else {
				got = append(got, string(challenge))
			}
		}
	}
	if err != nil {
		st, ok := err.(*mail.Status)
		if !ok {
			t.Fatalf("an error that is no reply: %v", err)
		}
		got = append(got, st.Error())
	}
	return strings.Join(got, " | ")
}

func TestUsers(t *testing.T) {
	const failure = "535 5.7.8 authentication failure"
	b := &book{entries: map[string]string{
		"joe": cheap("secret"), "jane@a.example": bcryptOf(t, "pässword"), "broken": "secret", "empty": cheap(""), "late@dom.example": cheap("x"),
	}}
	for _, c := range []struct {
		name, mechanism string
		responses       []string
		want            string
		domain          string
	}{
		{"plain", "PLAIN", []string{"\x00joe\x00secret"}, "ok joe", ""},
		{"plain in lower case", "plain", []string{"\x00joe\x00secret"}, "ok joe", ""},
		{"plain, asked for", "PLAIN", []string{"-", "\x00joe\x00secret"}, " | ok joe", ""},
		{"plain as oneself", "PLAIN", []string{"joe\x00joe\x00secret"}, "ok joe", ""},
		{"plain as another", "PLAIN", []string{"jane@a.example\x00joe\x00secret"}, "535 5.7.8 not authorized", ""},
		{"plain as another, wrong", "PLAIN", []string{"jane@a.example\x00joe\x00x"}, failure, ""},
		{"plain, UTF-8", "PLAIN", []string{"\x00jane@a.example\x00pässword"}, "ok jane@a.example", ""},
		{"plain, wrong", "PLAIN", []string{"\x00joe\x00Secret"}, failure, ""},
		{"plain, nobody", "PLAIN", []string{"\x00nobody\x00secret"}, failure, ""},
		{"plain, no name", "PLAIN", []string{"\x00\x00secret"}, failure, ""},
		{"plain, empty", "PLAIN", []string{""}, "535 5.7.8 malformed response", ""},
		{"plain, two fields", "PLAIN", []string{"joe\x00secret"}, "535 5.7.8 malformed response", ""},
		{"plain, four fields", "PLAIN", []string{"\x00joe\x00secret\x00"}, "535 5.7.8 malformed response", ""},
		{"an empty password is none", "PLAIN", []string{"\x00empty\x00"}, failure, ""},
		{"entry that is no hash", "PLAIN", []string{"\x00broken\x00secret"}, "454 4.7.0 user table unavailable", ""},
		{"name with a line end", "PLAIN", []string{"\x00joe\r\n\x00secret"}, failure, ""},
		{"name that is no UTF-8", "PLAIN", []string{"\x00jo\xff\x00secret"}, failure, ""},
		{"long name", "PLAIN", []string{"\x00" + strings.Repeat("j", 400) + "\x00secret"}, failure, ""},
		{"login", "LOGIN", []string{"-", "joe", "secret"}, "Username: | Password: | ok joe", ""},
		{"login, name at once", "LOGIN", []string{"joe", "secret"}, "Password: | ok joe", ""},
		{"login, wrong", "LOGIN", []string{"-", "joe", "joe"}, "Username: | Password: | " + failure, ""},
		{"login, going on", "LOGIN", []string{"joe", "secret", "more"}, "Password: | ok joe | 535 5.7.8 malformed response", ""},
		{"local domain", "LOGIN", []string{"late", "x"}, "Password: | ok late@dom.example", "dom.example"},
		{"local domain, has one", "LOGIN", []string{"jane@a.example", "pässword"}, "Password: | ok jane@a.example", "dom.example"},
		{"unknown mechanism", "CRAM-MD5", nil, "535 5.7.8 Invalid authentication mechanism: 'CRAM-MD5'", ""},
		{"odd mechanism", "A\tB", nil, "535 5.7.8 Invalid authentication mechanism: 'A?B'", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s said
			u := usersOf(b, &s)
			u.Domain = c.domain
			if got := play(t, &Logins{Source: u, Warn: s.warn}, c.mechanism, c.responses...); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if strings.Contains(s.all(), "secret") {
				t.Errorf("a password is in the log: %s", s.all())
			}
		})
	}
}

// TestTableAway: a table that cannot answer is temporary, for whoever asks.
func TestTableAway(t *testing.T) {
	var s said
	l := &Logins{Source: usersOf(&book{err: errors.New("no answer")}, &s)}
	if got := play(t, l, "PLAIN", "\x00joe\x00secret"); got != "454 4.7.0 user table unavailable" {
		t.Error(got)
	}
	if want := `SASL: smtpd_sasl_path: cannot look up user joe: hash:/users lookup error for "joe": no answer`; s.all() != want {
		t.Error(s.all())
	}
}

// TestUnknownCostsTheSame: what is computed for a stranger is what the last real entry took.
func TestUnknownCostsTheSame(t *testing.T) {
	var s said
	u := usersOf(&book{entries: map[string]string{"joe": cheap("secret")}}, &s)
	l := &Logins{Source: u}
	play(t, l, "PLAIN", "\x00joe\x00wrong")
	seen := u.seen.Load()
	if seen == nil || seen.memory != 64 {
		t.Fatalf("seen %v", seen)
	}
	if d := seen.decoy(); d.memory != 64 || d.time != 1 {
		t.Errorf("decoy %v", d)
	}
}

// TestGate: no more than the slots at a time, no more than those who wait beyond.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Gate
		g.init()
		var now, most, refused atomic.Int32
		release := make(chan struct{})
		var wg sync.WaitGroup
		n := maxWaiting + cap(g.slots) + 7
		for range n {
			wg.Go(func() {
				err := g.do(context.Background(), func() {
					for k := now.Add(1); ; {
						if m := most.Load(); k <= m || most.CompareAndSwap(m, k) {
							break
						}
					}
					<-release
					now.Add(-1)
				})
				if err == errBusy {
					refused.Add(1)
				}
			})
			synctest.Wait()
		}
		if refused.Load() != 7 || int(most.Load()) != cap(g.slots) {
			t.Errorf("%d refused, %d at once", refused.Load(), most.Load())
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		time.Sleep(maxWait + time.Second) // virtual
		if refused.Load() != 7+maxWaiting {
			t.Errorf("%d refused after they have waited long enough", refused.Load())
		}
		if err := g.do(ctx, func() { t.Error("done though cancelled") }); err == nil {
			t.Error("no error of a cancelled one")
		}
		close(release)
		wg.Wait()
		if err := g.do(context.Background(), func() {}); err != nil {
			t.Errorf("not free again: %v", err)
		}
	})
}

func TestSecurity(t *testing.T) {
	all := &Logins{Source: fixed{{"PLAIN", mechanism.Plaintext}, {"CRAM-MD5", mechanism.Dictionary | mechanism.Active}, {"ANONYMOUS", mechanism.Anonymous}, {"EXTERNAL", 0}, {"GSSAPI", mechanism.MutualAuth}}}
	for options, want := range map[string]string{
		"":                            "PLAIN CRAM-MD5 ANONYMOUS EXTERNAL GSSAPI",
		"noanonymous":                 "PLAIN CRAM-MD5 EXTERNAL GSSAPI",
		"noanonymous noplaintext":     "CRAM-MD5 EXTERNAL GSSAPI",
		"NoActive":                    "PLAIN ANONYMOUS EXTERNAL GSSAPI",
		"nodictionary noplaintext":    "ANONYMOUS EXTERNAL GSSAPI",
		"mutual_auth":                 "GSSAPI",
		"mutual_auth forward_secrecy": "",
	} {
		rules, err := mechanism.ParseSecurity(strings.Fields(options))
		if err != nil {
			t.Fatal(err)
		}
		all.Clear = rules
		if got := strings.Join(all.Offered(t.Context(), false), " "); got != want {
			t.Errorf("%s: %s, want %s", options, got, want)
		}
		if got := all.Offered(t.Context(), true); len(got) != 5 {
			t.Errorf("%s: over TLS %v", options, got)
		}
	}
	if _, err := mechanism.ParseSecurity([]string{"noplain"}); err == nil || !strings.Contains(err.Error(), `"noplain"`) {
		t.Error(err)
	}
	var s said
	all.Warn, all.Clear = s.warn, mechanism.Security{}
	all.Filter = func(_ context.Context, m string) (bool, error) {
		if m == "GSSAPI" {
			return true, errors.New("no answer")
		}
		return m != "EXTERNAL", nil
	}
	if got := strings.Join(all.Offered(t.Context(), false), " "); got != "PLAIN CRAM-MD5 ANONYMOUS" || !strings.Contains(s.all(), "GSSAPI: no answer") {
		t.Error(got, s.all())
	}
}

// fixed is a Source that has mechanisms only.
type fixed []Mechanism

func (f fixed) Mechanisms(context.Context) []Mechanism           { return f }
func (f fixed) Begin(context.Context, Request) (Exchange, error) { return nil, unknown("") }
func (f fixed) Close() error                                     { return nil }
