package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// One question to one server.

const (
	udpSize = 1232 // what passes without fragments (DNS flag day 2020)
	// maxStrays bounds the packets that come in place of the reply. More than a few are an
	// attempt to guess what the reply must look like.
	maxStrays = 100
)

type question struct {
	name  string
	qtype uint16
	vouch bool // the server is to say whether the answer is authentic
	tcp   bool
}

// message is the question for the wire.
func (q question) message(edns bool) *dns.Msg {
	m := new(dns.Msg).SetQuestion(q.name, q.qtype)
	// RFC 6840 section 5.7: it asks for the AD bit without the signatures.
	m.AuthenticatedData = q.vouch
	if edns {
		m.SetEdns0(udpSize, false)
	}
	return m
}

// rcodeError is a reply that says nothing about the name.
type rcodeError int

func (e rcodeError) Error() string {
	if s, ok := dns.RcodeToString[int(e)]; ok {
		return "answered " + s
	}
	return fmt.Sprintf("answered code %d", int(e))
}

func (r *Resolver) askOne(ctx context.Context, q question, server string, timeout time.Duration) (*dns.Msg, error) {
	send := func(edns, tcp bool) (*dns.Msg, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		m := q.message(edns)
		reply, err := r.o.Exchange(ctx, m, server, tcp)
		if err == nil && !answers(reply, m) {
			err = errors.New("the reply is to another question")
		}
		return reply, err
	}
	m, err := send(true, q.tcp)
	if err != nil && q.tcp && !timedOut(err) && ctx.Err() == nil {
		// It does not speak TCP.
		q.tcp = false
		m, err = send(true, false)
	}
	edns := true
	if err == nil && (m.Rcode == dns.RcodeFormatError || m.Rcode == dns.RcodeNotImplemented || m.Rcode == dns.RcodeBadVers) {
		// A server from before EDNS: RFC 6891 section 7.
		edns = false
		m, err = send(edns, q.tcp)
	}
	if err == nil && m.Truncated && !q.tcp {
		m, err = send(edns, true)
	}
	switch {
	case err != nil:
		return nil, err
	case m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError:
		return nil, rcodeError(m.Rcode)
	case m.Truncated:
		return nil, errors.New("answered over TCP with a part only")
	}
	return m, nil
}

// answers tells whether m is a reply to q. A reply to a query that the server could not
// read may come without the question.
func answers(m, q *dns.Msg) bool {
	if m == nil || !m.Response || m.Opcode != dns.OpcodeQuery || m.Id != q.Id {
		return false
	}
	if len(m.Question) == 0 {
		return m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError
	}
	a, b := m.Question[0], q.Question[0]
	return len(m.Question) == 1 && a.Qtype == b.Qtype && a.Qclass == b.Qclass && strings.EqualFold(a.Name, b.Name)
}

// exchange is the network. Each query has an unpredictable ID and a port of its own, which
// only the server's address can send to; what else arrives there is not the reply, and
// waiting goes on (RFC 5452 section 9.1).
func exchange(ctx context.Context, q *dns.Msg, server string, tcp bool) (*dns.Msg, error) {
	network := "udp"
	if tcp {
		network = "tcp"
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	c := dns.Conn{Conn: nc, UDPSize: udpSize}
	if err := c.WriteMsg(q); err != nil {
		return nil, err
	}
	for range maxStrays {
		m, err := c.ReadMsg()
		switch {
		case m == nil && !errors.Is(err, dns.ErrShortRead):
			return nil, err
		case m != nil && err == nil && answers(m, q):
			return m, nil
		case m != nil && err != nil && m.Response && m.Id == q.Id:
			return nil, err // the reply, and broken
		case tcp:
			return nil, errors.New("the reply is to another question")
		}
	}
	return nil, errors.New("too many packets that are no reply")
}
