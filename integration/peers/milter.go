package peers

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// MilterScript says how a Milter answers. Keys are events: the letter of the command ("C"
// connect, "H", "M", "R", "T" data, "L" header field, "N" end of header, "B" body, "E" end,
// "U" unknown), and for the n-th of a session with #n behind it ("R#2"). Values are the
// packets to send, each a letter with its data; \0 is a NUL, \n \r as in Go, <n> at the
// beginning of the data a number of four bytes. Further words: "close" hangs up, "none"
// sends nothing, "raw:HEX" sends just these bytes. Without an entry the answer is "c".
type MilterScript struct {
	// Options is the answer to the negotiation; "": version 6, all actions, every event.
	// Otherwise "version actions events" as numbers, and then stage=names of macros.
	Options string
	Replies map[string][]string
}

// Milter is a scripted milter. It records what it is told.
type Milter struct {
	Addr string // host:port, or a path

	mu      sync.Mutex // guards what follows
	script  MilterScript
	packets [][]string // of each connection
	open    map[net.Conn]struct{}
	ln      net.Listener
	wg      sync.WaitGroup
}

// NewMilter listens at network "tcp" or "unix".
func NewMilter(network, addr string) (*Milter, error) {
	ln, err := net.Listen(network, addr)
	if err != nil {
		return nil, err
	}
	if network == "unix" {
		if err := os.Chmod(addr, 0o777); err != nil { // the test's mail system has another user
			return nil, err
		}
	}
	m := &Milter{Addr: ln.Addr().String(), ln: ln, open: map[net.Conn]struct{}{}}
	m.wg.Add(1)
	go m.accept()
	return m, nil
}

// Behave sets the script and forgets what was recorded.
func (m *Milter) Behave(script MilterScript) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.script, m.packets = script, nil
}

// Packets are what was told, one line a packet. Connections follow each other.
func (m *Milter) Packets() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Concat(m.packets...)
}

// Open is how many connections there are.
func (m *Milter) Open() int { m.mu.Lock(); defer m.mu.Unlock(); return len(m.open) }

// Stop closes the port and every connection.
func (m *Milter) Stop() {
	m.ln.Close()
	m.mu.Lock()
	for c := range m.open {
		c.Close()
	}
	m.mu.Unlock()
	m.wg.Wait()
}

func (m *Milter) accept() {
	defer m.wg.Done()
	for {
		c, err := m.ln.Accept()
		if err != nil {
			return
		}
		m.mu.Lock()
		m.open[c] = struct{}{}
		conn := &milterConn{m: m, c: c, n: len(m.packets), script: m.script, count: map[byte]int{}}
		m.packets = append(m.packets, nil)
		m.mu.Unlock()
		m.wg.Add(1)
		go func() {
			defer m.wg.Done()
			conn.serve()
			c.Close()
			m.mu.Lock()
			delete(m.open, c)
			m.mu.Unlock()
		}()
	}
}

type milterConn struct {
	m      *Milter
	c      net.Conn
	n      int // which connection of the script
	script MilterScript
	events uint32 // what was negotiated
	count  map[byte]int
}

func (c *milterConn) record(line string) {
	c.m.mu.Lock()
	if c.n < len(c.m.packets) { // one of before the script is of no interest
		c.m.packets[c.n] = append(c.m.packets[c.n], line)
	}
	c.m.mu.Unlock()
}

func (c *milterConn) serve() {
	for {
		var head [4]byte
		if _, err := io.ReadFull(c.c, head[:]); err != nil {
			return
		}
		n := binary.BigEndian.Uint32(head[:])
		if n < 1 || n > 1<<20 {
			c.record("unreasonable packet")
			return
		}
		data := make([]byte, n)
		if _, err := io.ReadFull(c.c, data); err != nil {
			return
		}
		c.record(ShowMilterPacket(data[0], data[1:]))
		if !c.answer(data[0]) {
			return
		}
	}
}

// quiet are the events that have a bit that says that no reply is sent.
var quiet = map[byte]uint32{'L': 1 << 7, 'C': 1 << 12, 'H': 1 << 13, 'M': 1 << 14, 'R': 1 << 15, 'T': 1 << 16, 'U': 1 << 17, 'N': 1 << 18, 'B': 1 << 19}

func (c *milterConn) answer(cmd byte) bool {
	switch cmd {
	case 'Q':
		return false
	case 'D', 'A':
		return true
	}
	c.count[cmd]++
	replies, ok := c.script.Replies[fmt.Sprintf("%c#%d", cmd, c.count[cmd])]
	if !ok {
		replies, ok = c.script.Replies[string(cmd)]
	}
	if cmd == 'O' && !ok {
		return c.send(c.options())
	}
	if !ok {
		if c.events&quiet[cmd] != 0 {
			return true
		}
		replies = []string{"c"}
	}
	for _, r := range replies {
		switch {
		case r == "close":
			return false
		case r == "none":
			continue
		case strings.HasPrefix(r, "raw:"):
			b, err := hex.DecodeString(r[4:])
			if err != nil {
				panic(err)
			}
			c.c.Write(b)
		default:
			if !c.send(packetOf(r)) {
				return false
			}
		}
	}
	return true
}

func (c *milterConn) send(packet []byte) bool {
	_, err := c.c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(packet))), packet...))
	return err == nil
}

// packetOf is a packet as a script has it.
func packetOf(s string) []byte {
	packet, data := []byte{s[0]}, s[1:]
	if rest, ok := strings.CutPrefix(data, "<"); ok && strings.Contains("im", s[:1]) {
		number, after, _ := strings.Cut(rest, ">")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			panic(err)
		}
		packet, data = binary.BigEndian.AppendUint32(packet, uint32(n)), after
	}
	return append(packet, strings.NewReplacer(`\0`, "\x00", `\n`, "\n", `\r`, "\r", `\t`, "\t").Replace(data)...)
}

func (c *milterConn) options() []byte {
	words := strings.Fields(c.script.Options)
	if len(words) == 0 {
		words = []string{"6", "511", "0"}
	}
	packet := []byte{'O'}
	for i := range 3 {
		n, err := strconv.ParseUint(words[i], 0, 32)
		if err != nil {
			panic(err)
		}
		packet = binary.BigEndian.AppendUint32(packet, uint32(n))
		c.events = uint32(n)
	}
	for _, w := range words[3:] {
		stage, names, _ := strings.Cut(w, "=")
		n, _ := strconv.Atoi(stage)
		packet = binary.BigEndian.AppendUint32(packet, uint32(n))
		packet = append(append(packet, strings.ReplaceAll(names, ",", " ")...), 0)
	}
	return packet
}

// ShowMilterPacket is a packet as a line: NULs are bars, what is not printable is escaped.
func ShowMilterPacket(cmd byte, data []byte) string {
	show := func(b []byte) string {
		s := strconv.Quote(string(b))
		return strings.TrimRight(strings.ReplaceAll(s[1:len(s)-1], `\x00`, "|"), "")
	}
	switch {
	case cmd == 'O' && len(data) == 12:
		return fmt.Sprintf("O version %d actions %#x events %#x", binary.BigEndian.Uint32(data), binary.BigEndian.Uint32(data[4:]), binary.BigEndian.Uint32(data[8:]))
	case cmd == 'D' && len(data) > 0:
		return "D " + show(data[:1]) + " " + show(data[1:])
	case cmd == 'C':
		name, rest, ok := strings.Cut(string(data), "\x00")
		if ok && len(rest) > 3 {
			return fmt.Sprintf("C %s %c %d %s", show([]byte(name)), rest[0], binary.BigEndian.Uint16([]byte(rest[1:3])), show([]byte(rest[3:])))
		}
	case cmd == 'B' && len(data) > 200:
		return fmt.Sprintf("B %d bytes", len(data))
	}
	return strings.TrimRight(fmt.Sprintf("%c %s", cmd, show(data)), " ")
}
