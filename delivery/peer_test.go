package delivery

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"aliasmx/internal/dns"
)

// peer is a next hop that does what a test says. It keeps what it was told.
type peer struct {
	banner   string   // "" is "220 sink.example ESMTP"
	keywords []string // of EHLO
	cert     *tls.Certificate
	secured  *tls.Config // in place of one with cert alone: remembers sessions
	lmtp     bool
	// on answers a command ("connect", a command line, "." for the end of the content,
	// with the number of the connection, from 1): "" is the normal answer. "close" hangs
	// up, "stall" answers nothing any more; "| close" and "| stall" do so after an answer.
	// With lmtp the command for "." is ". ADDRESS".
	on func(conn int, cmd string) string
	// asked, if there is one, is called when the peer has nothing to read and waits.
	asked func()

	mu       sync.Mutex // guards what follows
	conns    int
	chunks   int        // BDAT chunks that came whole
	talks    [][]string // commands, by connection
	messages []message
	serving  sync.WaitGroup
}

// message is what came in one transaction.
type message struct {
	conn int
	tls  bool
	from string   // what followed MAIL FROM:
	to   []string // what followed RCPT TO:, accepted ones
	data string   // after taking off dots
}

// allKeywords is what a modern server offers, but for STARTTLS.
var allKeywords = []string{"PIPELINING", "SIZE 10240000", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8"}

// commands returns what a connection said, from 1.
func (p *peer) commands(conn int) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if conn > len(p.talks) {
		return nil
	}
	return slices.Clone(p.talks[conn-1])
}

func (p *peer) got() []message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.messages)
}

func (p *peer) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conns
}

// serve is one connection.
func (p *peer) serve(nc net.Conn) {
	defer nc.Close()
	p.mu.Lock()
	p.conns++
	c := &peerConn{peer: p, nc: nc, r: bufio.NewReaderSize(nc, 64<<10), n: p.conns}
	p.talks = append(p.talks, nil)
	p.mu.Unlock()
	banner := p.banner
	if banner == "" {
		banner = "220 sink.example ESMTP"
	}
	for cmd, normal := "connect", banner; ; {
		if size, ok := chunkSize(cmd); ok && c.offers("CHUNKING") {
			if !c.bdat(cmd, size) {
				return
			}
		} else if !c.answer(cmd, normal) {
			return
		}
		if p.asked != nil && c.r.Buffered() == 0 {
			p.asked()
		}
		line, err := c.r.ReadString('\n')
		if err != nil {
			return
		}
		cmd = strings.TrimSuffix(line, "\r\n")
		p.mu.Lock()
		p.talks[c.n-1] = append(p.talks[c.n-1], cmd)
		p.mu.Unlock()
		normal = c.normal(cmd)
	}
}

type peerConn struct {
	*peer
	nc   net.Conn
	r    *bufio.Reader
	n    int
	tls  bool
	open message
	mail bool
}

// answer replies; it is false when the connection is over.
func (c *peerConn) answer(cmd, normal string) bool {
	reply := ""
	if c.on != nil {
		reply = c.on(c.n, cmd)
	}
	if reply == "" {
		reply = normal
	}
	text, hangUp := strings.CutSuffix(reply, "| close")
	text, silent := strings.CutSuffix(text, "| stall")
	switch reply {
	case "close":
		return false
	case "stall":
		io.Copy(io.Discard, c.nc)
		return false
	}
	text = strings.TrimSpace(text)
	if text != "" {
		if _, err := io.WriteString(c.nc, strings.ReplaceAll(text, "\n", "\r\n")+"\r\n"); err != nil {
			return false
		}
	}
	if silent {
		io.Copy(io.Discard, c.nc)
	}
	if !hangUp && !silent {
		return c.after(cmd, text)
	}
	return false
}

func (p *peer) offers(keyword string) bool { return slices.Contains(p.keywords, keyword) }

// chunkSize is the size of a chunk that is announced as the last one, as all of ours are.
func chunkSize(cmd string) (size int64, ok bool) {
	n, err := fmt.Sscanf(cmd, "BDAT %d LAST", &size)
	return size, n == 1 && err == nil && cmd == fmt.Sprintf("BDAT %d LAST", size)
}

// bdat takes a chunk off the connection, unless it is told to hang up before, and answers.
func (c *peerConn) bdat(cmd string, size int64) bool {
	if c.on != nil && c.on(c.n, "before "+cmd) != "" {
		return c.answer("before "+cmd, "")
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(c.r, data); err != nil {
		return false
	}
	c.mu.Lock()
	c.chunks++
	c.mu.Unlock()
	m := c.open
	if !c.mail || len(m.to) == 0 {
		return c.answer(cmd, "503 5.5.1 Error: need RCPT command")
	}
	m.data = string(data)
	c.mail, c.open = false, message{}
	return c.ended(cmd, m)
}

// normal is what a server that accepts everything answers.
func (c *peerConn) normal(cmd string) string {
	switch verb := strings.ToUpper(strings.Fields(cmd + " x")[0]); verb {
	case "EHLO", "LHLO":
		c.mail = false
		words := c.keywords
		if c.cert != nil && !c.tls {
			words = append(slices.Clone(words), "STARTTLS")
		}
		lines := append([]string{"sink.example"}, words...)
		for i := range lines {
			sep := "-"
			if i == len(lines)-1 {
				sep = " "
			}
			lines[i] = "250" + sep + lines[i]
		}
		return strings.Join(lines, "\n")
	case "HELO":
		return "250 sink.example"
	case "STARTTLS":
		return "220 2.0.0 Ready to start TLS"
	case "MAIL":
		if c.mail {
			return "503 5.5.1 nested MAIL"
		}
		return "250 2.1.0 Ok"
	case "RCPT":
		if !c.mail {
			return "503 5.5.1 need MAIL"
		}
		return "250 2.1.5 Ok"
	case "DATA":
		if len(c.open.to) == 0 {
			return "554 5.5.1 no valid recipients"
		}
		return "354 End data with <CR><LF>.<CR><LF>"
	case "RSET":
		return "250 2.0.0 Ok"
	case "QUIT":
		return "221 2.0.0 Bye| close"
	}
	return "502 5.5.2 what?"
}

// after does what a command that was answered with text has for consequences.
func (c *peerConn) after(cmd, text string) bool {
	text = text[strings.LastIndexByte(text, '\n')+1:]
	ok := strings.HasPrefix(text, "2")
	switch arg := cmd; {
	case cmd == "RSET":
		c.mail, c.open = false, message{}
	case ok && strings.HasPrefix(cmd, "MAIL FROM:"):
		c.mail = true
		c.open = message{conn: c.n, tls: c.tls, from: arg[10:]}
	case ok && strings.HasPrefix(cmd, "RCPT TO:"):
		c.open.to = append(c.open.to, arg[8:])
	case ok && cmd == "STARTTLS":
		cfg := c.peer.secured
		if cfg == nil {
			cfg = &tls.Config{Certificates: []tls.Certificate{*c.cert}}
		}
		t := tls.Server(c.nc, cfg)
		if t.Handshake() != nil {
			return false
		}
		c.nc, c.r, c.tls = t, bufio.NewReader(t), true
	case cmd == "DATA" && strings.HasPrefix(text, "354"):
		return c.content()
	}
	return true
}

// content reads up to the dot and answers it.
func (c *peerConn) content() bool {
	var data strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		data.WriteString(strings.TrimPrefix(line, "."))
	}
	m := c.open
	m.data = data.String()
	c.mail, c.open = false, message{}
	return c.ended(".", m)
}

// ended answers the end of a message, "." or BDAT.
func (c *peerConn) ended(cmd string, m message) bool {
	if !c.lmtp {
		if len(m.to) == 0 {
			return c.answer(cmd, "554 5.5.1 no valid recipients")
		}
		c.keep(m)
		return c.answer(cmd, "250 2.0.0 Ok: queued as SINK")
	}
	c.keep(m)
	for _, to := range m.to {
		to, _, _ = strings.Cut(to, " ")
		if !c.answer(cmd+" "+to, "250 2.1.5 "+to+" delivered") {
			return false
		}
	}
	return true
}

func (c *peerConn) keep(m message) {
	c.mu.Lock()
	c.messages = append(c.messages, m)
	c.mu.Unlock()
}

// network is where peers are: "192.0.2.1:25" is one, or an error. Connections are pipes,
// so that a test can have its own time. resolver makes it a zone, too.
type network struct {
	t     testing.TB
	wrap  func(net.Conn) net.Conn // what our end goes through, if anything
	tcp   bool                    // real connections, on loopback: where both sides may write at once
	mu    sync.Mutex              // guards dials
	peers map[string]any
	dials []string
}

func newNetwork(t testing.TB, peers map[string]any) *network {
	n := &network{t: t, peers: peers}
	t.Cleanup(n.wait)
	return n
}

// wait waits until all peers have hung up.
func (n *network) wait() {
	for _, p := range n.peers {
		if p, ok := p.(*peer); ok {
			p.serving.Wait()
		}
	}
}

func (n *network) dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	n.dials = append(n.dials, address)
	n.mu.Unlock()
	switch p := n.peers[address].(type) {
	case *peer:
		near, far := net.Pipe()
		if n.tcp {
			near, far = tcpPair(n.t)
		}
		p.serving.Go(func() { p.serve(far) })
		if n.wrap != nil {
			near = n.wrap(near)
		}
		return near, nil
	case error:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: p}
	case string: // "silent": packets vanish
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
}

// tcpPair is a connection over loopback.
func tcpPair(t testing.TB) (near, far net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// fakeDNS is a Resolver. mx maps a domain to "10 a.example, 20 b.example", addrs a host
// to its addresses; "fail" for either is a temporary failure, "null" a null MX.
type fakeDNS struct {
	mx, addrs, files map[string]string
}

func (f fakeDNS) MX(_ context.Context, domain string) ([]dns.MX, error) {
	text, ok := f.mx[domain]
	switch {
	case text == "fail":
		return nil, &dns.Error{Name: domain, Type: "MX", Kind: dns.Temporary}
	case text == "null":
		return nil, &dns.Error{Name: domain, Type: "MX", Kind: dns.NullMX}
	case !ok:
		return nil, &dns.Error{Name: domain, Type: "MX", Kind: dns.NoName}
	}
	var mxs []dns.MX
	for _, s := range strings.Split(text, ", ") {
		var m dns.MX
		if _, err := fmt.Sscan(s, &m.Pref, &m.Host); err != nil {
			panic(err)
		}
		mxs = append(mxs, m)
	}
	return mxs, nil
}

func (f fakeDNS) Addrs(_ context.Context, host string, family dns.Family) ([]netip.Addr, error) {
	return lookupIn(f.addrs, host, family)
}

func (f fakeDNS) Native(_ context.Context, host string, family dns.Family) ([]netip.Addr, error) {
	return lookupIn(f.files, host, family)
}

func lookupIn(hosts map[string]string, host string, family dns.Family) ([]netip.Addr, error) {
	text, ok := hosts[host]
	qtype := "AAAA"
	if family == dns.IPv4 {
		qtype = "A"
	}
	switch {
	case text == "fail":
		return nil, &dns.Error{Name: host, Type: qtype, Kind: dns.Temporary}
	case !ok:
		return nil, &dns.Error{Name: host, Type: qtype, Kind: dns.NoName}
	}
	var addrs []netip.Addr
	for _, s := range strings.Fields(text) {
		a := netip.MustParseAddr(s)
		if family == dns.Any || (family == dns.IPv4) == a.Is4() {
			addrs = append(addrs, a)
		}
	}
	if len(addrs) == 0 {
		return nil, &dns.Error{Name: host, Type: qtype, Kind: dns.NoData}
	}
	return addrs, nil
}
