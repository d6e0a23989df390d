package integration

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"aliasmx/integration/peers"
)

// Kills in a run, and sessions that send all the while.
const (
	killsInARun  = 50
	killSessions = 8
	// killConcurrency is default_destination_concurrency_limit: so many messages can be
	// under way to the one next hop when the daemon is killed, and arrive twice.
	killConcurrency = 20
)

// killAliases are the recipients: the next hop takes, refuses and puts off.
const killAliases = `good@alias.example good@dest.example
bad@alias.example  bad@dest.example
late@alias.example late@dest.example
team@alias.example good@dest.example, bad@dest.example, late@dest.example
`

// TestKillUnderLoad kills the daemon with SIGKILL, fifty times, while clients send small
// and large letters to a next hop that takes, refuses and puts off, and starts it again on
// the same queue; some of the kills hit it while it starts. In the end the clients' ledger
// of 250s is held against what the next hop got: each letter arrived for each recipient,
// byte by byte, or its sender has one report; what arrived twice was under way at a kill.
func TestKillUnderLoad(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	sink.Behave(killScript("450 4.2.0 <late@dest.example>: come back later"))
	cf := base(sink)
	cf["minimal_backoff_time"], cf["maximal_backoff_time"], cf["queue_run_delay"] = "1s", "3s", "1s"
	r := newRelay(t, cf, map[string]string{"virtual": killAliases})

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	book := &killBook{told: make(map[string]string)}
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for s := range killSessions {
		clients.Go(func() { book.send(r.smtp, s, stop) })
	}
	kills, atStart := 0, 0
	for kills < killsInARun {
		if kills%5 == 4 { // while it starts
			r.launch()
			time.Sleep(time.Duration(rng.IntN(150)) * time.Millisecond)
			atStart++
		} else {
			r.start()
			for before, end := book.count(), time.Now().Add(limit); book.count() < before+20; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("no mail is taken after %d kills\n%s", kills, tail(r.log(), 20))
				}
			}
			time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond)
		}
		r.kill()
		kills++
	}
	r.start()
	close(stop)
	clients.Wait()
	sink.Behave(killScript("250 2.1.5 Ok"))
	r.mustRun("postqueue", "-c", r.dir, "-f")
	r.waitEmpty()
	r.stop()

	lost, altered, duplicates := book.compare(t, sink.Messages())
	t.Logf("%d kills, %d of them while it started; %d letters got 250 and %d did not; %d lost, %d altered, %d arrived twice",
		kills, atStart, len(book.told), book.refused, lost, altered, duplicates)
	if kills != killsInARun || lost > 0 || altered > 0 {
		t.Errorf("seed %d: after %d kills %d recipients that got 250 are lost, %d letters altered", seed, kills, lost, altered)
	}
	if most := kills * killConcurrency; duplicates > most {
		t.Errorf("seed %d: %d arrived twice: more than the %d that can have been under way", seed, duplicates, most)
	}
	if left := filesBelow(t, filepath.Join(r.top, "queue", "store", "big")); len(left) > 0 {
		t.Errorf("the queue is empty, and these files are left: %v", left)
	}
}

// killScript is how the next hop answers, with a reply for who is late.
func killScript(late string) peers.Script {
	return peers.Script{Rcpt: map[string]string{
		"bad@dest.example":  "550 5.1.1 <bad@dest.example>: nobody here",
		"late@dest.example": late,
	}}
}

// killBook is what the clients know.
type killBook struct {
	mu      sync.Mutex        // guards what follows
	told    map[string]string // letters that got 250: name to alias
	refused int               // letters that did not
}

func (b *killBook) count() int { b.mu.Lock(); defer b.mu.Unlock(); return len(b.told) }

func (b *killBook) note(name, alias string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.told[name] = alias
	} else {
		b.refused++
	}
}

// send sends letter after letter. One that did not get 250 is not sent again: it may arrive
// or not.
func (b *killBook) send(addr string, session int, stop <-chan struct{}) {
	var c *smtp.Client
	for n := 0; ; n++ {
		select {
		case <-stop:
			if c != nil {
				c.Close()
			}
			return
		default:
		}
		if c == nil {
			var err error
			if c, err = smtp.Dial(addr); err != nil { // it is away for a moment
				c = nil
				time.Sleep(5 * time.Millisecond)
				continue
			}
			c.CommandTimeout, c.SubmissionTimeout = limit, limit
		}
		name := fmt.Sprintf("letter-%d-%d", session, n)
		alias := []string{"good", "bad", "late", "team", "good", "good"}[n%6]
		err := c.SendMail(name+"@client.example", []string{alias + "@alias.example"}, strings.NewReader(killLetter(name)))
		b.note(name, alias, err)
		if err != nil {
			c.Close()
			c = nil
		}
		time.Sleep(4 * time.Millisecond) // the queue must empty in the end
	}
}

// killLetter is the letter of a name; every eleventh is too large for the database.
func killLetter(name string) string {
	var session, n int
	fmt.Sscanf(name, "letter-%d-%d", &session, &n)
	lines := 40
	if n%11 == 3 {
		lines = 6000
	}
	header := "From: <" + name + "@client.example>\r\nSubject: " + name + "\r\nDate: Sun, 1 Mar 2026 12:00:00 +0000\r\nMessage-Id: <" + name + "@client.example>\r\n\r\n"
	return header + strings.Repeat("line of "+name+", number "+fmt.Sprint(n*lines)+"\r\n", lines)
}

var (
	killName      = regexp.MustCompile(`letter-\d+-\d+`)
	killMessageID = regexp.MustCompile(`(?im)^Message-Id: *(<[^>]*>)`)
)

// compare holds the ledger against what arrived.
func (b *killBook) compare(t *testing.T, messages []peers.Message) (lost, altered, duplicates int) {
	arrived := make(map[string]int)            // name and recipient
	reports := make(map[string]map[string]int) // of a name: reports, by their Message-Id
	for _, m := range messages {
		to := strings.Trim(strings.Fields(m.Rcpts[0])[0], "<>")
		if strings.HasPrefix(m.From, "<>") {
			name := killName.FindString(to)
			id := killMessageID.FindStringSubmatch(m.Data)
			if name == "" || id == nil || !strings.Contains(m.Data, "bad@dest.example") {
				t.Errorf("a report that is none: %v", m)
				continue
			}
			if reports[name] == nil {
				reports[name] = make(map[string]int)
			}
			if reports[name][id[1]]++; reports[name][id[1]] > 1 {
				duplicates++
			}
			continue
		}
		name := killName.FindString(m.From)
		if letter := killLetter(name); !strings.HasSuffix(m.Data, letter) {
			altered++
			t.Errorf("%s arrived altered: %d bytes, want %d below what was put on top", name, len(m.Data), len(letter))
		}
		for _, rcpt := range m.Rcpts {
			to := strings.Trim(strings.Fields(rcpt)[0], "<>")
			if arrived[name+" "+to]++; arrived[name+" "+to] > 1 {
				duplicates++
			}
		}
	}
	for name, of := range reports {
		if len(of) != 1 {
			t.Errorf("%s: %d reports about one failure: %v", name, len(of), of)
		}
	}
	for name, alias := range b.told {
		for _, to := range map[string][]string{"good": {"good"}, "bad": {"bad"}, "late": {"late"}, "team": {"good", "bad", "late"}}[alias] {
			if to == "bad" && len(reports[name]) == 0 || to != "bad" && arrived[name+" "+to+"@dest.example"] == 0 {
				lost++
				t.Errorf("%s to %s got 250 and is lost", name, to)
			}
		}
	}
	return lost, altered, duplicates
}

// filesBelow lists the files in a directory and in those below it.
func filesBelow(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// session sends messages from number n on over one connection and returns how many
// got 250.
func session(addr, name string, n, end int, acked func(subject string)) (done int) {
	c, err := smtp.Dial(addr)
	if err != nil {
		return 0
	}
	defer c.Close()
	c.CommandTimeout, c.SubmissionTimeout = limit, limit
	for ; n < end; n++ {
		subject := fmt.Sprintf("%s-%d", name, n)
		letter := "From: sender@client.example\r\nSubject: " + subject + "\r\n\r\n" + body(subject)
		if err := c.SendMail("sender@client.example", []string{"info@alias.example"}, strings.NewReader(letter)); err != nil {
			return done
		}
		acked(subject)
		done++
	}
	return done
}

// body differs from message to message, so that a mix-up shows.
func body(subject string) string {
	return strings.Repeat("line of "+subject+"\r\n", 40)
}
