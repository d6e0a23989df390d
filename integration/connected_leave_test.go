package integration

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// hangUp leaves at once, as a client that is killed: what comes for it is answered with RST.
func (d *dialog) hangUp() {
	d.Conn.(*net.TCPConn).SetLinger(0)
	d.Close()
}

// The client leaves while the next hop is at some stage, and brings the same message again:
// it arrives once. The third time, when it has heard, it is another message.
func TestConnectedClientLeaves(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{"banner", "EHLO", "MAIL", "RCPT", "DATA", ".", "taken"} {
		for how, leave := range map[string]func(*dialog){"closes": func(d *dialog) { d.Close() }, "resets": (*dialog).hangUp} {
			t.Run(how+" at "+stage, func(t *testing.T) {
				t.Parallel()
				sink := newSink(t)
				r := connectedRelay(t, sink, nil)
				sink.Behave(peers.Script{Delay: time.Second, DelayAt: stage})
				c := beginLetter(t, r, "leaves", "info@alias.example")
				fmt.Fprint(c.Conn, ".\r\n")
				r.waitLog(`\(queue active\)`)
				time.Sleep(300 * time.Millisecond)
				leave(c)
				r.waitLog(`relay while connected: (dropped: the client has left|the client has not heard)`)
				sink.Behave(peers.Script{})
				r.mustBeEmpty()
				mustMatch(t, "reply", letter(t, r, "leaves", "info@alias.example"), `^250 2\.0\.0 Ok: queued as \w+$`)
				r.mustBeEmpty()
				if sink.Count() != 1 {
					t.Errorf("arrived %d times\n%s", sink.Count(), r.log())
				}
				if stage == "." || stage == "taken" {
					mustMatch(t, "log", r.log(), `relay while connected: not sent again: it is \w+, which was taken`)
				}
				mustMatch(t, "reply", letter(t, r, "leaves", "info@alias.example"), `^250 2\.0\.0 Ok: queued as \w+$`)
				if sink.Count() != 2 {
					t.Errorf("sent twice on purpose: arrived %d times\n%s", sink.Count(), r.log())
				}
				r.stop()
			})
		}
	}
}

// The client leaves and brings the message again while the next hop still has the first to
// answer: it is put off, and arrives once.
func TestConnectedUnderWay(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	r := connectedRelay(t, sink, map[string]string{"relay_while_connected_time": "10s"})
	sink.Behave(peers.Script{Delay: 2 * time.Second, DelayAt: "taken"})
	c := beginLetter(t, r, "again", "info@alias.example")
	fmt.Fprint(c.Conn, ".\r\n")
	r.waitLog(`\(queue active\)`)
	time.Sleep(300 * time.Millisecond)
	c.hangUp()
	mustMatch(t, "reply", letter(t, r, "again", "info@alias.example"), `^451 4\.3\.0 Error: the same message is on its way; try again later$`)
	mustMatch(t, "log", r.log(), `relay while connected: put off: the same message is on its way as \w+, whose client has left\n`)
	r.waitLog(`the client has not heard`)
	mustMatch(t, "reply", letter(t, r, "again", "info@alias.example"), `^250 2\.0\.0 Ok: queued as \w+$`)
	if sink.Count() != 1 {
		t.Errorf("arrived %d times\n%s", sink.Count(), r.log())
	}
}

// A client that resets the connection once it has the reply has heard it: the same again is
// another message.
func TestConnectedClientResetsAfterwards(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	r := connectedRelay(t, sink, nil)
	for n := range 3 {
		c := beginLetter(t, r, "heard", "info@alias.example")
		mustMatch(t, "reply", c.say("."), "^250 ")
		c.hangUp()
		for end := time.Now().Add(limit); strings.Count(r.log(), "disconnect from") <= n; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the session does not end\n%s", r.log())
			}
		}
		if sink.Count() != n+1 {
			t.Errorf("letter %d: %d arrived\n%s", n+1, sink.Count(), r.log())
		}
	}
	if log := r.log(); strings.Contains(log, "has not heard") {
		t.Errorf("it has heard\n%s", log)
	}
}

// What clients have not heard of is known after a restart, also one by force.
func TestConnectedUnheardIsKept(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	r := connectedRelay(t, sink, nil)
	sink.Behave(peers.Script{Delay: time.Second, DelayAt: "taken"})
	c := beginLetter(t, r, "kept", "info@alias.example")
	fmt.Fprint(c.Conn, ".\r\n")
	r.waitLog(`\(queue active\)`)
	c.hangUp()
	r.waitLog(`the client has not heard`)
	time.Sleep(200 * time.Millisecond)
	r.kill()
	r.start()
	sink.Behave(peers.Script{})
	mustMatch(t, "reply", letter(t, r, "kept", "info@alias.example"), `^250 2\.0\.0 Ok: queued as \w+$`)
	if sink.Count() != 1 {
		t.Errorf("arrived %d times\n%s", sink.Count(), r.log())
	}
}

// kill -9 while the next hop is at some stage: the client has no 250, brings the message
// again, and it arrives once, but where the next hop had it.
func TestConnectedKilled(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{"banner", "EHLO", "MAIL", "RCPT", "DATA", ".", "taken"} {
		for _, late := range []bool{false, true} { // after relay_while_connected_time
			t.Run(fmt.Sprintf("%s late=%v", stage, late), func(t *testing.T) {
				t.Parallel()
				sink := newSink(t)
				r := connectedRelay(t, sink, nil)
				sink.Behave(peers.Script{Hang: stage})
				c := beginLetter(t, r, "killed", "info@alias.example")
				fmt.Fprint(c.Conn, ".\r\n")
				told := false
				if late {
					mustMatch(t, "reply", c.read(), "^250 ")
					told = true
					r.waitLog(`relay while connected: queued: no answer of the next hop within 2 seconds`) // it may leave a moment after the reply
				} else {
					r.waitLog(`\(queue active\)`)
					time.Sleep(200 * time.Millisecond)
				}
				r.kill()
				sink.Behave(peers.Script{})
				r.start()
				if !told {
					r.mustBeEmpty()
					letter(t, r, "killed", "info@alias.example")
				}
				r.waitEmpty()
				ended := stage == "." || stage == "taken"
				warned := strings.Contains(r.log(), ": relay while connected: its content was sent before the mail system stopped: it may be sent more than once\n")
				if warned != (late && ended) {
					t.Errorf("warned: %v\n%s", warned, r.log())
				}
				want := 1
				if stage == "taken" {
					want = 2
				}
				if sink.Count() != want {
					t.Errorf("arrived %d times, want %d\n%s", sink.Count(), want, r.log())
				}
			})
		}
	}
}

// The daemon is killed again and again while clients send, wait and leave, and next hops take,
// refuse, put off, hang and hang up. Nothing that got 250 is lost; there is no bounce for what
// all refused; and what arrived twice was under way at a kill, or had the end of its content
// sent without a reply.
func TestConnectedKillLedger(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	sink.Behave(killScript("450 4.2.0 later"))
	r := connectedRelay(t, sink, nil)
	r.stop()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	book := &connectedBook{taken: map[string]bool{}, told: map[string]bool{}}
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for i := range 6 {
		own := rand.New(rand.NewPCG(seed, uint64(100+i)))
		clients.Go(func() { book.send(r.smtp, i, own, stop) })
	}
	const kills = 12
	for range kills {
		r.start()
		for before, end := book.count(), time.Now().Add(limit); book.count() < before+10; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("no mail is taken\n%s", tail(r.log(), 20))
			}
		}
		script := killScript("450 4.2.0 later")
		switch rng.IntN(4) {
		case 0:
			script.Delay, script.DelayAt = 20*time.Millisecond, "taken"
		case 1:
			script.Drop = []string{"MAIL", "DATA", "."}[rng.IntN(3)]
		}
		sink.Behave(script)
		time.Sleep(time.Duration(rng.IntN(200)) * time.Millisecond)
		r.kill()
		sink.Behave(killScript("450 4.2.0 later"))
	}
	r.start()
	close(stop)
	clients.Wait()
	sink.Behave(killScript("250 2.1.5 Ok"))
	r.mustRun("postqueue", "-c", r.dir, "-f")
	r.waitEmpty()
	r.stop()

	got, bounced := map[string]int{}, map[string]bool{}
	for _, m := range sink.Messages() {
		_, rest, _ := strings.Cut(m.Data, "Subject: ledger-")
		name, _, _ := strings.Cut(rest, "\r\n")
		if strings.HasPrefix(m.From, "<>") {
			bounced[name] = true
			continue
		}
		for _, to := range m.Rcpts {
			addr, _, _ := strings.Cut(to, " ")
			got[name+" "+addr]++
		}
	}
	lost, twice := 0, 0
	book.mu.Lock()
	defer book.mu.Unlock()
	for name := range book.taken {
		kind, _, _ := strings.Cut(name, "-")
		for _, to := range map[string][]string{"info": {"target"}, "late": {"late"}, "team": {"target", "late"}, "bad": {}}[kind] {
			if got[name+" <"+to+"@dest.example>"] == 0 {
				lost++
				t.Errorf("%s: lost for %s", name, to)
			}
		}
		if kind == "team" && !bounced[name] {
			t.Errorf("%s: nobody heard that one of three refused it", name)
		}
	}
	for name, n := range got {
		if n > 1 {
			twice++
		}
		if n > 1+kills {
			t.Errorf("%s arrived %d times", name, n)
		}
	}
	for name := range bounced {
		// Who has heard nothing may find it in the queue: it was to be kept before the kill.
		if book.told[name] {
			t.Errorf("%s: a bounce for what was refused", name)
		}
	}
	t.Logf("%d letters got 250, %d were refused, %d had no answer; %d lost, %d arrived twice", len(book.taken), book.refused, book.broken, lost, twice)
	if most := kills * 6; twice > most {
		t.Errorf("%d arrived twice: more than the %d that can have been under way", twice, most)
	}
	if book.refused == 0 || len(book.taken) == 0 {
		t.Error("the test tests nothing")
	}
}

// connectedBook is what the clients of TestConnectedKillLedger know.
type connectedBook struct {
	mu              sync.Mutex      // guards what follows
	taken, told     map[string]bool // letters that got 250, and that were refused
	refused, broken int
}

func (b *connectedBook) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.taken) + b.refused
}

func (b *connectedBook) send(addr string, client int, rng *rand.Rand, stop <-chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		kind := []string{"info", "bad", "late", "team"}[rng.IntN(4)]
		name := fmt.Sprintf("%s-%d-%d", kind, client, n)
		reply := sendOnce(addr, kind+"@alias.example", "ledger-"+name)
		b.mu.Lock()
		switch {
		case strings.HasPrefix(reply, "250 "):
			b.taken[name] = true
		case strings.HasPrefix(reply, "5"):
			b.refused++
			b.told[name] = true
		default:
			b.broken++
		}
		b.mu.Unlock()
		if reply == "" {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// sendOnce sends a letter and returns the last reply, "" when the connection broke.
func sendOnce(addr, to, subject string) (reply string) {
	nc, err := net.DialTimeout("tcp", addr, limit)
	if err != nil {
		return ""
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(limit))
	buf := make([]byte, 4096)
	read := func() string {
		n, err := nc.Read(buf)
		if err != nil {
			return ""
		}
		return string(buf[:n])
	}
	if read() == "" {
		return ""
	}
	for _, line := range []string{"EHLO client.example", "MAIL FROM:<sender@client.example>", "RCPT TO:<" + to + ">", "DATA",
		"Subject: " + subject + "\r\n\r\nx\r\n."} {
		fmt.Fprintf(nc, "%s\r\n", line)
		if reply = read(); reply == "" || reply[0] > '3' {
			return reply
		}
	}
	return reply
}
