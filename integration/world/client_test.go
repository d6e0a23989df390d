package world

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"
)

// Clients: most send mail as they should, some misbehave, some vanish.

// client is a connection to the server.
type client struct {
	w    *world
	from netip.Addr
	dice *rand.Rand

	conn *pipe
	r    *bufio.Reader
	code int
	text string // of the last reply
}

func (c *client) dial() error {
	r := c.w.now()
	if r == nil {
		return errRefused
	}
	conn, err := r.door.knock(c.from)
	if err != nil {
		return err
	}
	c.conn, c.r = conn, bufio.NewReader(conn)
	if err := c.reply(); err != nil {
		return err
	}
	return c.expect("EHLO client.example", 250)
}

func (c *client) hangUp() {
	if c.conn != nil {
		io.WriteString(c.conn, "QUIT\r\n")
		c.conn.Close()
		c.conn = nil
	}
}

func (c *client) pause() { time.Sleep(time.Duration(c.dice.IntN(50_000_000)) + time.Microsecond) }

// reply reads one reply.
func (c *client) reply() error {
	c.code, c.text = 0, ""
	for {
		c.conn.SetDeadline(time.Now().Add(15 * time.Minute))
		line, err := c.r.ReadString('\n')
		if err != nil {
			return err
		}
		if len(line) < 5 {
			return errors.New("no reply: " + line)
		}
		c.text += line
		if line[3] == ' ' {
			_, err := fmt.Sscan(line[:3], &c.code)
			return err
		}
	}
}

func (c *client) send(text string) error {
	c.pause()
	c.conn.SetDeadline(time.Now().Add(15 * time.Minute))
	_, err := io.WriteString(c.conn, text)
	return err
}

func (c *client) expect(command string, code int) error {
	if err := c.send(command + "\r\n"); err != nil {
		return err
	}
	if err := c.reply(); err != nil {
		return err
	}
	if c.code != code {
		return errors.New(c.text)
	}
	return nil
}

// vanishing is where a client breaks off; 0: nowhere.
type vanishing int

const (
	beforeDot vanishing = 1 + iota
	afterDot
	stalling // it does not send another byte
)

// submit sends a message. Its status is what the client knows about it.
func (c *client) submit(m *message, rcpts []string, chunked bool, vanish vanishing) submission {
	m.at = time.Now()
	c.w.ledger.set(func() { c.w.ledger.messages[m.token] = m })
	if err := c.expect("MAIL FROM:<"+m.sender+"> BODY=8BITMIME", 250); err != nil {
		return refused
	}
	param := ""
	if notify := m.finals[0].notify; notify != "" {
		param = " NOTIFY=" + notify
	}
	for _, rcpt := range rcpts {
		if err := c.expect("RCPT TO:<"+rcpt+">"+param, 250); err != nil {
			return refused
		}
	}
	wire := string(m.content)
	end := ""
	if chunked {
		c.pause()
		if err := c.send(fmt.Sprintf("BDAT %d LAST\r\n", len(wire))); err != nil {
			return aborted
		}
	} else {
		if err := c.expect("DATA", 354); err != nil {
			return refused
		}
		wire = strings.ReplaceAll("\r\n"+wire, "\r\n.", "\r\n..")[2:]
		end = ".\r\n"
	}
	half := len(wire) / 2
	if err := c.send(wire[:half]); err != nil {
		return aborted
	}
	switch vanish {
	case beforeDot:
		return aborted
	case stalling:
		c.reply()
		return aborted
	}
	if err := c.send(wire[half:] + end); err != nil {
		return unknown
	}
	if vanish == afterDot {
		return unknown
	}
	if err := c.reply(); err != nil {
		return unknown
	}
	if c.code != 250 {
		return refused
	}
	_, id, ok := strings.Cut(strings.TrimSpace(c.text), "queued as ")
	if !ok {
		c.w.fault("accepted without an ID: %s", c.text)
	}
	m.id = id
	return accepted
}

// visit is one client's day.
type visit struct {
	n      int
	at     time.Duration
	alias  string // the recipient of a burst; "": any
	looper bool
}

// visits are all clients there will be.
func (w *world) visits() []visit {
	var all []visit
	for i := range w.scale {
		all = append(all, visit{n: i, at: time.Duration(w.dice("visit", i).Int64N(int64(troubled)))})
	}
	// Bursts: more than a host or a window takes.
	domains := recipientDomains()
	for b := range 4 {
		d := w.dice("burst", b)
		at, alias := time.Duration(d.Int64N(int64(troubled))), fmt.Sprintf("a%d@hosted.example", d.IntN(len(domains)))
		if b == 0 {
			alias = "a1@hosted.example" // limit.example
		}
		within := []time.Duration{time.Second, time.Minute}[b%2]
		for i := range w.scale / 8 {
			all = append(all, visit{n: 10000*(1+b) + i, at: at + time.Duration(d.Int64N(int64(within))), alias: alias})
		}
	}
	return append(all, visit{n: 99999, at: 2 * day, looper: true})
}

// compose makes a message, and names the aliases that it goes to. All recipients have the
// same NOTIFY.
func (v *visit) compose(w *world, d *rand.Rand, token string) (*message, []string) {
	m := &message{token: token, sender: token + "@home.example", loop: v.looper}
	if d.IntN(8) == 0 && !v.looper {
		m.sender = ""
	}
	var rcpts []string
	switch {
	case v.looper:
		rcpts = []string{"loop@hosted.example"}
		m.finals = []final{{addr: "loop@looper.example"}}
	case v.alias != "":
		rcpts = []string{v.alias}
	default:
		for _, n := range d.Perm(len(w.aliases.names))[:1+d.IntN(2)*d.IntN(4)] {
			rcpts = append(rcpts, w.aliases.names[n])
		}
	}
	if !v.looper {
		notify := []string{"", "", "", "", "NEVER", "FAILURE", "SUCCESS,FAILURE", "DELAY"}[d.IntN(8)]
		for _, rcpt := range rcpts {
			for _, addr := range w.aliases.finals[rcpt] {
				m.finals = append(m.finals, final{addr, notify})
			}
		}
	}
	m.content = content(d, token)
	return m, rcpts
}

// content is a message of some kind and size, as it is without dots stuffed.
func content(d *rand.Rand, token string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s\r\nSubject: %s\r\nMessage-ID: <%s@client.example>\r\nFrom: <%s@home.example>\r\n\r\n", worldMark, token, token, token, token)
	size := 200 + d.IntN(1500)
	switch n := d.IntN(20); {
	case n < 2:
		size = 10_000 + d.IntN(50_000) // a file of its own
	case n < 6:
		size = 3000 + d.IntN(4000)
	}
	eightBit := d.IntN(3) == 0
	for b.Len() < size {
		line := make([]byte, d.IntN(76))
		for i := range line {
			line[i] = byte(' ' + d.IntN(94))
			if eightBit && i%7 == 0 {
				line[i] = byte(0xa0 + d.IntN(90))
			}
		}
		if d.IntN(10) == 0 {
			b.WriteByte('.')
		}
		b.Write(line)
		b.WriteString("\r\n")
	}
	return []byte(b.String())
}

// call is what a visit comes to.
func (v *visit) call(w *world) {
	d := w.dice("call", v.n)
	addr := netip.AddrFrom4([4]byte{203, 0, 113, byte(1 + d.IntN(200))})
	mood := d.IntN(20)
	if v.alias != "" || v.looper {
		mood = 19
	}
	for try := range 4 {
		c := &client{w: w, from: addr, dice: w.dice("try", v.n, try)}
		if c.dial() == nil && v.talk(c, mood, try) {
			c.hangUp()
			return
		}
		c.hangUp()
		time.Sleep(10*time.Minute + time.Duration(c.dice.Int64N(int64(time.Hour))))
	}
}

// talk tells whether there is nothing left to do.
func (v *visit) talk(c *client, mood, try int) bool {
	w := c.w
	token := fmt.Sprintf("m%d", v.n)
	if try > 0 {
		token = fmt.Sprintf("m%d-try%d", v.n, try)
	}
	vanish := vanishing(0)
	switch mood {
	case 0:
		vanish = beforeDot
	case 1:
		vanish = afterDot
	case 2:
		vanish = stalling
	case 3: // rubbish
		for range 30 {
			if c.expect("QWERTY", 250) == nil {
				w.fault("the server has taken QWERTY")
			}
			if c.code == 0 || c.code == 421 {
				break
			}
		}
		return true
	case 4: // relaying, and unknown users
		for _, rcpt := range []string{"somebody@good.example", "nobody@hosted.example"} {
			if c.expect("MAIL FROM:<x@home.example>", 250) == nil && c.expect("RCPT TO:<"+rcpt+">", 250) == nil {
				w.fault("the server has taken mail for %s", rcpt)
			}
			c.expect("RSET", 250)
		}
		return true
	case 5: // says nothing
		c.reply()
		return true
	}
	m, rcpts := v.compose(w, w.dice("message", v.n, try), token)
	m.status = aborted
	status := c.submit(m, rcpts, c.dice.IntN(5) == 0 && vanish == 0, vanish)
	w.ledger.set(func() { m.status = status })
	w.tally([]string{"refused", "accepted", "unknown", "aborted"}[status])
	return status != refused || c.code >= 500 || mood < 3
}
