package reputation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

// ours are the addresses at alias.example and other.example.
func ours(_ context.Context, a mail.Address) (bool, error) {
	d := strings.ToLower(a.Domain)
	return d == "alias.example" || d == "other.example", nil
}

func newBook(t *testing.T, c *clock, p Params, file string) *Book {
	p.Ours, p.MyHostname = ours, "mx.alias.example"
	if p.StripExtension == nil {
		p.StripExtension = func(s string) string { s, _, _ = strings.Cut(s, "+"); return s }
	}
	b := New(Options{Now: c.Now, Params: p, File: file, Name: file, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(b.Close)
	return b
}

func TestRates(t *testing.T) {
	catchAll := func(_ context.Context, a mail.Address) (bool, error) { return !strings.HasPrefix(a.Local, "info"), nil }
	limits := func(_ context.Context, key string) (int, bool, error) {
		n, found := map[string]int{"vip@alias.example": 0, "alias.example": 100, "shy@alias.example": 1}[key]
		if key == "broken@alias.example" {
			return 0, false, errors.New("no answer")
		}
		return n, found, nil
	}
	own := func(_ context.Context, a mail.Address) (int, time.Duration, error) {
		switch local, _, _ := strings.Cut(a.Local, "+"); local {
		case "shop":
			return 2, time.Minute, nil
		case "day":
			return 1, 24 * time.Hour, nil
		case "broken":
			return 0, 0, errors.New("no answer")
		}
		return 0, 0, nil
	}
	type step struct {
		at   time.Duration
		rcpt string
		want string // ok, no, warned (no, with a warning), error
	}
	for _, tt := range []struct {
		name  string
		p     Params
		steps []step
	}{
		{"by alias", Params{AliasRate: 2}, []step{
			{0, "info@alias.example", "ok"}, {0, "INFO+x@Alias.Example", "ok"}, {0, "info@alias.example", "warned"}, {0, "info+z@alias.example", "no"},
			{0, "team@alias.example", "ok"}, {0, "info@other.example", "ok"}, {59 * time.Minute, "info@alias.example", "no"},
			{time.Hour, "info@alias.example", "ok"}, {time.Hour, "info@alias.example", "ok"}, {time.Hour, "info@alias.example", "warned"}}},
		{"nobody's", Params{AliasRate: 1}, []step{{0, "a@elsewhere.example", "ok"}, {0, "a@elsewhere.example", "ok"}}},
		{"by domain", Params{DomainRate: 3, AliasRate: 2, RateUnit: time.Minute}, []step{
			{0, "a@alias.example", "ok"}, {0, "a@alias.example", "ok"}, {0, "a@alias.example", "warned"}, // and takes nothing of the domain's
			{0, "b@alias.example", "ok"}, {0, "b@alias.example", "warned"}, {0, "b@other.example", "ok"}, {time.Minute, "b@alias.example", "ok"}}},
		{"by table", Params{AliasRate: 2, Limit: limits}, []step{
			{0, "vip@alias.example", "ok"}, {0, "vip@alias.example", "ok"}, {0, "vip@alias.example", "ok"},
			{0, "shy@alias.example", "ok"}, {0, "shy@alias.example", "warned"}, {0, "broken@alias.example", "error"}}},
		{"own rate", Params{OwnRate: own}, []step{
			{0, "shop@alias.example", "ok"}, {0, "shop+x@alias.example", "ok"}, {0, "shop@alias.example", "warned"}, {0, "day@alias.example", "ok"},
			{2 * time.Minute, "shop@alias.example", "ok"}, {2 * time.Hour, "day@alias.example", "warned"}, {24 * time.Hour, "day@alias.example", "ok"},
			{0, "free@alias.example", "ok"}, {0, "free@alias.example", "ok"}, {0, "broken@alias.example", "error"}}},
		{"reports are not limited", Params{AliasRate: 1, Reports: map[string]bool{"arf@alias.example": true}}, []step{
			{0, "arf@alias.example", "ok"}, {0, "ARF@alias.example", "ok"}}},
		{"catch-all", Params{CatchAllLimit: 2, IsCatchAll: catchAll}, []step{
			{0, "a@alias.example", "ok"}, {0, "b@alias.example", "ok"}, {0, "c@alias.example", "warned"}, {0, "d@alias.example", "no"},
			{0, "A+x@alias.example", "ok"}, {0, "info1@alias.example", "ok"}, {0, "c@other.example", "ok"},
			{59 * time.Minute, "c@alias.example", "no"}, {time.Hour, "c@alias.example", "ok"}}},
		{"refused by rate, and no address of the catch-all", Params{CatchAllLimit: 1, IsCatchAll: catchAll, DomainRate: 1, RateUnit: time.Minute}, []step{
			{0, "info1@alias.example", "ok"}, {0, "a@alias.example", "warned"}, {time.Minute, "b@alias.example", "ok"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock()
			b, began := newBook(t, c, tt.p, ""), c.Now()
			for i, s := range tt.steps {
				c.set(began.Add(s.at))
				v, err := b.Recipient(t.Context(), mail.SplitAddress(s.rcpt))
				got := "ok"
				switch {
				case err != nil:
					got = "error"
				case v.Refused != nil && v.Warn != "":
					got = "warned"
				case v.Refused != nil:
					got = "no"
				}
				if got != s.want || v.Refused != nil && v.Refused.Code != 450 {
					t.Errorf("step %d (%s, %s): %s (%+v), want %s", i, s.at, s.rcpt, got, v, s.want)
				}
			}
		})
	}
}

// However many aliases there are, no more than so many are counted, and the busy ones are
// not forgotten for those.
func TestRatesBounded(t *testing.T) {
	r, now := rates{max: 200}, time.Unix(1e9, 0)
	r.of("busy", now, time.Hour).n = 1000
	for i := range 20_000 {
		r.of(fmt.Sprint(i), now, time.Hour).n++
	}
	if len(r.units) > 200 {
		t.Errorf("%d are counted", len(r.units))
	}
	if r.of("busy", now, time.Hour).n != 1000 {
		t.Error("the busy one was forgotten")
	}
	r.of("new", now.Add(time.Hour), time.Hour)
	if len(r.units) != 1 {
		t.Errorf("%d are left of units that are over", len(r.units)-1)
	}
	var c catchAlls
	for i := range maxCatchAll + 100 {
		c.of(fmt.Sprint(i), now)
	}
	if len(c.hours) > maxCatchAll {
		t.Errorf("%d domains", len(c.hours))
	}
}

// message is one that came for aliases: "alias>target" each.
func message(id mail.QueueID, rcpts ...string) *mail.Envelope {
	env := &mail.Envelope{ID: id}
	for _, r := range rcpts {
		orig, final, _ := strings.Cut(r, ">")
		env.Rcpts = append(env.Rcpts, mail.Recipient{Orig: mail.SplitAddress(orig), Final: mail.SplitAddress(final)})
	}
	return env
}

func rowOf(b *Book, name string) Row {
	rows := b.Table(name)
	if i := slices.IndexFunc(rows, func(r Row) bool { return r.Name == name }); i >= 0 {
		return rows[i]
	}
	return Row{}
}

func TestLedger(t *testing.T) {
	c, file := newClock(), filepath.Join(t.TempDir(), "reputation")
	b := newBook(t, c, Params{Enabled: true}, file)
	env := message(1, "Team+x@alias.example>one@Dest.example", "team@alias.example>two@dest.example", "info@alias.example>i@far.example",
		"direct@dest.example>direct@dest.example", "SRS0=x@srs.example>back@client.example")
	b.Accepted(t.Context(), env)
	b.Results(env, []mail.Result{
		{Rcpt: 0, State: mail.Delivered}, {Rcpt: 1, State: mail.Failed, Status: mail.Status{Enhanced: mail.Code(5, 7, 26)}},
		{Rcpt: 2, State: mail.Deferred}, {Rcpt: 3, State: mail.Delivered}, {Rcpt: 4, State: mail.Delivered},
	})
	c.set(c.Now().Add(24 * time.Hour))
	b.Results(env, []mail.Result{{Rcpt: 2, State: mail.Failed, Status: mail.Status{Enhanced: mail.Code(5, 1, 1)}}})
	check := func(when string) {
		t.Helper()
		for _, want := range []Row{
			{Kind: "alias", Name: "team@alias.example", In: 1, Delivered: 1, Refused: 1, Policy: 1},
			{Kind: "alias", Name: "info@alias.example", In: 1, Refused: 1},
			{Kind: "destination", Name: "dest.example", In: 1, Delivered: 1, Refused: 1, Policy: 1},
			{Kind: "destination", Name: "far.example", In: 1, Refused: 1},
		} {
			if got := rowOf(b, want.Name); got != want {
				t.Errorf("%s: got %+v, want %+v", when, got, want)
			}
		}
		if n := len(b.Table("")); n != 4 {
			t.Errorf("%s: %d rows, want 4: %+v", when, n, b.Table(""))
		}
		if n := len(b.Table("ALIAS.example")); n != 2 {
			t.Errorf("%s: %d aliases of the domain", when, n)
		}
	}
	check("at once")
	b.Close()
	b = newBook(t, c, Params{Enabled: true}, file)
	check("after a restart")
	c.set(c.Now().Add(29 * 24 * time.Hour))
	if got := rowOf(b, "info@alias.example"); got.In != 0 || got.Refused != 1 {
		t.Errorf("after 30 days: %+v", got)
	}
	c.set(c.Now().Add(24 * time.Hour))
	b.clean(c.Now())
	if n := len(b.aliases.rows) + len(b.domains.rows); n != 0 {
		t.Errorf("%d rows are left after a month", n)
	}
}

func TestComplaintLimit(t *testing.T) {
	c := newClock()
	reports := map[string]bool{"arf@alias.example": true}
	b := newBook(t, c, Params{Enabled: true, Reports: reports, ComplaintLimit: 1, ComplaintAction: ActHold}, "")
	b.Accepted(t.Context(), message(7, "info@alias.example>i@dest.example", "team@alias.example>t@far.example"))
	info := mail.SplitAddress("info@alias.example")
	complain := func(r Report) { b.Reported(t.Context(), 9, &r) }
	ask := func() mail.AliasVerdict {
		t.Helper()
		v, err := b.Recipient(t.Context(), info)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	complain(Report{Kind: "abuse", about: []mail.Address{info}})
	if v := ask(); v != (mail.AliasVerdict{}) {
		t.Errorf("at the limit: %+v", v)
	}
	// By its queue ID, as far as the report says which alias.
	complain(Report{Kind: "abuse", trace: []hop{{id: 7}}, about: []mail.Address{{Local: "i", Domain: "DEST.example"}}})
	if v := ask(); v.Hold == "" || v.Refused != nil {
		t.Errorf("beyond the limit: %+v", v)
	}
	p := *b.params.Load()
	p.ComplaintAction = ActReject
	b.Update(p)
	if v := ask(); v.Refused == nil || v.Refused.Error() != "450 4.7.1 Recipient address rejected: too many complaints about mail for this address, try again later" {
		t.Errorf("reject: %+v", v)
	}
	if got := rowOf(b, "team@alias.example"); got.Complaints != 0 {
		t.Errorf("team: %+v", got)
	}
	complain(Report{Kind: "abuse", trace: []hop{{id: 7}}}) // of which one nobody knows
	if got := rowOf(b, "team@alias.example"); got.Complaints != 1 {
		t.Errorf("team: %+v", got)
	}
	// Nobody invents aliases, nor speaks of others'.
	for _, a := range []string{"nobody@alias.example", "i@dest.example"} {
		complain(Report{Kind: "abuse", about: []mail.Address{mail.SplitAddress(a)}})
		if got := rowOf(b, a); got != (Row{}) {
			t.Errorf("%s: %+v", a, got)
		}
	}
	c.set(c.Now().Add(24 * time.Hour))
	if v := ask(); v != (mail.AliasVerdict{}) {
		t.Errorf("the next day: %+v", v)
	}
}

// What most is complained of stays when there are too many to be counted.
func TestLedgerBounded(t *testing.T) {
	l := ledger{max: 100}
	l.of("bad", 1).Complaints = 3
	for i := range 10_000 {
		l.of(fmt.Sprint(i), 2).In++
	}
	if len(l.rows) > 100 || !l.has("bad") {
		t.Errorf("%d rows, bad %v", len(l.rows), l.has("bad"))
	}
	for d := range day(100) {
		l.of("bad", d).In++
	}
	if n := len(l.rows["bad"].days); n != keepDays {
		t.Errorf("%d days", n)
	}
	var r sentRing
	for i := range maxSent + 10 {
		r.add(sent{id: mail.QueueID(i)})
	}
	if all := r.inOrder(); len(all) != maxSent || all[0].id != 10 || all[maxSent-1].id != maxSent+9 || len(r.find(9)) != 0 || len(r.find(10)) != 1 {
		t.Errorf("%d are remembered, from %d to %d", len(all), all[0].id, all[maxSent-1].id)
	}
}

// Random counts come back from the file as they were.
func TestFileRoundTrip(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 2))
	c := newClock()
	b := newBook(t, c, Params{Enabled: true}, "")
	for i := range 500 {
		key := fmt.Sprintf("a %d\"\xff@x", rnd.IntN(50))
		on := day(20000 + rnd.IntN(keepDays))
		*b.aliases.of(key, on) = Counts{rnd.Uint32(), rnd.Uint32(), 3, 4, 5, 6}
		b.domains.of(key, on).In++
		b.sent.add(sent{mail.QueueID(i + 1), key, "d"})
	}
	other := newBook(t, c, Params{Enabled: true}, "")
	if err := other.decode(b.encode()); err != nil {
		t.Fatal(err)
	}
	same := func(a, b *row) bool { return slices.Equal(a.days, b.days) }
	if !maps.EqualFunc(b.aliases.rows, other.aliases.rows, same) || !maps.EqualFunc(b.domains.rows, other.domains.rows, same) || !slices.Equal(b.sent.inOrder(), other.sent.inOrder()) {
		t.Errorf("seed %d: other counts than were written", seed)
	}
}

func FuzzFile(f *testing.F) {
	b := New(Options{Now: newClock().Now})
	b.aliases.of("a@x", 20000).In = 3
	b.sent.add(sent{1, "a@x", "y"})
	f.Add(b.encode())
	f.Add([]byte("aliasmx reputation 1 0\nalias \"a\" 1 2 3 4 5 6 7\nend 1 00000000\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		one, two := New(Options{Now: time.Now}), New(Options{Now: time.Now})
		if one.decode(text) != nil {
			return
		}
		if err := two.decode(one.encode()); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(one.Table("")) != fmt.Sprint(two.Table("")) || !slices.Equal(one.sent.inOrder(), two.sent.inOrder()) {
			t.Fatalf("%q", text)
		}
	})
}
