package delivery

import (
	"net/netip"

	"crypto/tls"

	"aliasmx/internal/mail"
)

// What is told of a connection's TLS afterwards: in the log, in the words of postconf(5):
// smtp_log_tls_feature_status, and to whoever reports to receivers (RFC 8460).

// tlsState is how far a connection has come.
type tlsState uint8

const (
	tlsUndecided tlsState = iota
	tlsSecured
	tlsPlain    // it goes on without, as it may
	tlsViolated // what was asked for is not to be had, and it is not used
)

// Result types of RFC 8460 section 4.3 that are ours to tell.
const (
	resultNoSTARTTLS = "starttls-not-supported"
	resultFailed     = "validation-failure"
)

// reportTLS tells once of a connection what became of its TLS; result "" is success.
func (s *session) reportTLS(result, reason string) {
	if s.set.TLSReporter == nil || s.unreported || s.host.path != "" || s.choice.Level == mail.TLSNone {
		return
	}
	t := mail.TLSSession{
		At: s.set.Now(), Peer: s.peer, Policies: s.choice.Policies, Helo: s.banner,
		Remote: s.host.addr, Result: result, Reason: reason,
	}
	nc := s.conn.NetConn()
	if over, ok := nc.(*tls.Conn); ok {
		t.Resumed = over.ConnectionState().DidResume
	}
	if a, err := netip.ParseAddrPort(nc.LocalAddr().String()); err == nil {
		t.Local = a.Addr().Unmap()
	}
	s.set.TLSReporter.Session(t)
}

// reportNone is the same where a policy forbids the connection.
func (w *worker) reportNone(peer mail.TLSPeer, choice *mail.TLSChoice, h *host, f *failure) {
	if w.set.TLSReporter == nil || f.tls == "" || h.path != "" {
		return
	}
	w.set.TLSReporter.Session(mail.TLSSession{
		At: w.set.Now(), Peer: peer, Policies: choice.Policies, Remote: h.addr, Result: f.tls, Reason: f.reason,
	})
}

// tlsName is how a status begins: the level that was to be.
func tlsName(c *mail.TLSChoice) string {
	if c.Asked != "" {
		return string(c.Asked)
	}
	return string(c.Level)
}

// tlsStatus is how the message's connection was secured, or was to be; s is nil where there
// was none.
func (j *job) tlsStatus(s *session) string {
	if s == nil {
		return j.tls
	}
	status := tlsName(&s.choice)
	switch {
	case s.tls == tlsUndecided && s.choice.Level != mail.TLSNone:
		status += "?"
	case s.tls == tlsViolated:
		status = "!" + status
	case s.tls == tlsPlain && s.choice.Level != mail.TLSNone:
		status += ":" + string(mail.TLSNone)
	case s.choice.Asked != "" && s.choice.Asked != s.choice.Level:
		status += ":" + string(s.choice.Level)
	}
	if !requiresTLS(j.a) {
		return status
	}
	switch {
	case j.why != nil && j.why.requireTLS != "":
		return status + "/!requiretls:" + j.why.requireTLS
	case s.tls == tlsUndecided:
		return status + "/requiretls?"
	}
	return status + "/requiretls"
}
