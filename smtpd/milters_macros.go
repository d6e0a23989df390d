package smtpd

import (
	"strconv"
	"strings"

	"aliasmx/internal/mail"
	"aliasmx/internal/wire"
)

// The values of macros for milters (MILTER_README, "Sendmail macro emulation"). Those that
// are the same for everybody are known to the milters' own package.

// milterMacro is a macro while a session goes on.
func (s *session) milterMacro(name string) (string, bool) {
	switch name {
	case "client_addr":
		return string(appendLiteral(nil, s.peer.Addr)), true
	case "client_connections":
		return strconv.Itoa(s.filter.open), true
	case "client_resolve":
		return map[NameStatus]string{NameVerified: "OK", NameForged: "FORGED", NameTemporary: "TEMP", NameMissing: "FAIL"}[s.peer.NameStatus], true
	case "tls_version", "cipher", "cipher_bits", "cert_subject", "cert_issuer":
		return s.tlsMacro(name)
	case "i":
		return s.tx.idText, s.tx.id != 0
	case "mail_addr", "mail_host", "mail_mailer":
		if !s.tx.active {
			return "", false
		}
		return s.routeMacro(s.tx.from, strings.TrimPrefix(name, "mail_"))
	case "rcpt_addr", "rcpt_host", "rcpt_mailer":
		return s.rcptMacro(strings.TrimPrefix(name, "rcpt_"))
	}
	return s.milterEndMacro(name)
}

// milterEndMacro is a macro at the end of a message, where cleanup(8) knows less.
func (s *session) milterEndMacro(name string) (string, bool) {
	switch name {
	case "_":
		v := s.peer.Reverse + " [" + addrOr(s.peer.Addr) + "]"
		if !strings.EqualFold(s.peer.Name, s.peer.Reverse) {
			v += " (may be forged)"
		}
		return v, true
	case "client_addr":
		return addrOr(s.peer.Addr), true
	case "client_name":
		return s.peer.Name, true
	case "client_ptr":
		return s.peer.Reverse, true
	case "client_port":
		return strconv.Itoa(int(s.peer.Port)), true
	case "daemon_addr":
		return s.peer.serverAddr(), true
	case "daemon_port":
		return s.peer.serverPort(), true
	case "i":
		return s.tx.idText, s.tx.id != 0
	case "auth_type":
		return s.login.method, s.login.username != ""
	case "auth_authen":
		return s.login.username, s.login.username != ""
	case "auth_author":
		if s.tx.opts.Auth != nil {
			return *s.tx.opts.Auth, true
		}
	}
	return "", false
}

func (s *session) tlsMacro(name string) (string, bool) {
	if s.tls == nil {
		return "", false
	}
	version, cipher, bits := wire.TLSNames(s.tls)
	switch name {
	case "tls_version":
		return version, true
	case "cipher":
		return cipher, true
	case "cipher_bits":
		return strconv.Itoa(bits), true
	}
	if len(s.tls.VerifiedChains) == 0 {
		return "", false
	}
	if name == "cert_issuer" {
		return s.tls.PeerCertificates[0].Issuer.CommonName, true
	}
	return s.tls.PeerCertificates[0].Subject.CommonName, true
}

// rcptMacro is about the recipient under way, or else the first one. Of one that was
// refused the mailer is "error", the host the enhanced status code, the address the text.
func (s *session) rcptMacro(part string) (string, bool) {
	switch {
	case s.filter.rcpt != nil && s.filter.refused != nil:
		code, text := s.filter.refused.Enhanced.String(), s.filter.refused.Text
		_, text, _ = strings.Cut(text, " ") // without the address
		return map[string]string{"mailer": "error", "host": code, "addr": text}[part], true
	case s.filter.rcpt != nil:
		return s.routeMacro(s.o.Recipients.Complete(*s.filter.rcpt), part)
	case s.tx.accepted > 0:
		return s.routeMacro(s.o.Recipients.Complete(s.tx.first), part)
	}
	return "", false
}

// routeMacro is an address, or where mail to it would go.
func (s *session) routeMacro(a mail.Address, part string) (string, bool) {
	if part == "addr" {
		return strings.ToLower(a.String()), true // as the address resolver's cache has it
	}
	if s.o.Route == nil {
		return "", false
	}
	dest := s.o.Route(a)
	if part == "mailer" {
		return dest.Transport(), true
	}
	return dest.NextHop(), true
}
