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

// connect opens a connection to a host.
func (s *settings) connect(ctx context.Context, h *host) (net.Conn, error) {
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
	return s.Dial(ctx, network, address)
}

// dial is the real network. An address to bind to that this machine does not have is a
// reason for a warning and not for mail to stay (postconf(5): smtp_bind_address).
func (s *settings) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	bind := s.BindAddress
	if network == "tcp6" {
		bind = s.BindAddress6
	}
	if bind.IsValid() && network != "unix" {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(bind, 0))
	}
	conn, err := d.DialContext(ctx, network, address)
	if call, ok := errors.AsType[*os.SyscallError](err); ok && call.Syscall == "bind" {
		s.Log.Warn("bind "+bind.String()+": "+errorText(err), mail.KeyDaemon, "smtp")
		d.LocalAddr = nil
		conn, err = d.DialContext(ctx, network, address)
	}
	return conn, err
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
