package delivery

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"unicode"
	"unicode/utf8"

	"aliasmx/internal/mail"
	"aliasmx/internal/wire"
)

// connect opens a connection to a host, from there where the class of mail is to leave.
func (s *settings) connect(ctx context.Context, h *host, from Source) (net.Conn, error) {
	network, address := "tcp6", net.JoinHostPort(h.addr.String(), strconv.Itoa(int(h.port)))
	switch {
	case h.path != "":
		network, address = "unix", h.path
		if !filepath.IsAbs(address) {
			address = filepath.Join(s.QueueDirectory, address)
		}
	case h.addr.Is4():
		network = "tcp4"
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timeouts.Connect)
	defer cancel()
	if from.chosen() && h.path == "" {
		return s.dialFrom(ctx, network, address, from.of(h.addr), true)
	}
	return s.Dial(ctx, network, address)
}

// errNotBound is a connection that was not made because the address to connect from is
// not there.
var errNotBound = errors.New("server configuration error")

// dial is the real network. An address to bind to that this machine does not have is a
// reason for a warning; mail stays only where that was asked for (postconf(5):
// smtp_bind_address_enforce).
func (s *settings) dial(ctx context.Context, network, address string) (net.Conn, error) {
	bind, enforce := s.source(network)
	return s.dialFrom(ctx, network, address, bind, enforce)
}

func (s *settings) dialFrom(ctx context.Context, network, address string, bind netip.Addr, enforce bool) (net.Conn, error) {
	var d net.Dialer
	if bind.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(bind, 0))
	}
	conn, err := d.DialContext(ctx, network, address)
	if call, ok := errors.AsType[*os.SyscallError](err); ok && call.Syscall == "bind" {
		s.Log.Warn("smtp_connect_addr: bind "+bind.String()+": "+errorText(err), mail.KeyDaemon, "smtp")
		if enforce {
			return nil, errNotBound
		}
		d.LocalAddr = nil
		conn, err = d.DialContext(ctx, network, address)
	}
	return conn, err
}

// source is the address to connect from, and whether no other will do; an invalid one is the
// system's choice.
func (s *settings) source(network string) (bind netip.Addr, enforce bool) {
	only := s.OnlyAddress
	switch network {
	case "tcp4":
		bind = s.BindAddress
	case "tcp6":
		bind, only = s.BindAddress6, s.OnlyAddress6
	default:
		return netip.Addr{}, false
	}
	if bind.IsValid() {
		return bind, s.BindEnforce
	}
	return only, false
}

// connectFailed logs and tells why there is no connection to a host.
func (w *worker) connectFailed(h *host, err error) *failure {
	text := errorText(err)
	if err == errNotBound {
		w.log.Info(text)
		return siteFailure(mail.Code(4, 4, 0), text)
	}
	if h.path == "" { // as lmtp(8), which leaves a socket to the line about the recipient
		w.log.Info(mail.EventConnectErr, mail.KeyRelay, h.relay(), mail.KeyReason, text)
	}
	return siteFailure(mail.Code(4, 4, 1), "connect to "+h.relay()+": "+text)
}

// errorText is an error of the network as the C library has it, for that is what
// Postfix logs: "Connection refused".
func errorText(err error) string {
	switch {
	case errors.Is(err, errStopping):
		return errStopping.Error()
	case wire.IsTimeout(err) || errors.Is(err, context.DeadlineExceeded):
		return "Connection timed out"
	}
	if no, ok := errors.AsType[syscall.Errno](err); ok {
		text := no.Error()
		c, n := utf8.DecodeRuneInString(text)
		return string(unicode.ToUpper(c)) + text[n:]
	}
	return err.Error()
}
