package smtpd

import (
	"errors"

	"github.com/emersion/go-smtp"

	"aliasmx/internal/mail"
)

// Replies that verbs and session share. The texts are those of Postfix.

func status(code int, enhanced mail.Enhanced, text string) *mail.Status {
	return &mail.Status{Code: code, Enhanced: enhanced, Text: text}
}

func errNoRecipients() *mail.Status {
	return status(554, mail.Code(5, 5, 1), "Error: no valid recipients")
}

func errTooBig() *mail.Status {
	return status(552, mail.Code(5, 3, 4), "Error: message file too big")
}

// errQueue is what a client is told when a message could not be kept.
func errQueue() *mail.Status {
	return status(451, mail.Code(4, 3, 0), "Error: queue file write error")
}

func errLookup() *mail.Status {
	return status(451, mail.Code(4, 3, 0), "Temporary lookup failure")
}

func errBareLF(o *Options) *mail.Status {
	return status(o.BareNewlineRejectCode, mail.Code(5, 5, 2), o.MyHostname+" Error: bare <LF> received")
}

// refusal is the reply that an error stands for. What is no reply is temporary and
// stays with the operator. An answer that says yes is not one to an error.
func refusal(err error) *mail.Status {
	s, ok := statusIn(err)
	if !ok || s.Code < 400 || s.Code > 599 {
		return errLookup()
	}
	return s
}

// statusIn finds the reply in an error.
func statusIn(err error) (*mail.Status, bool) {
	if s, ok := errors.AsType[*mail.Status](err); ok {
		return s, true
	}
	if _, ok := errors.AsType[*smtp.SMTPError](err); ok {
		return mail.StatusOf(err), true
	}
	return nil, false
}

// smtpError is a refusal in go-smtp's words; other errors stay what they are.
func smtpError(err error) error {
	if _, ok := errors.AsType[*milterRefusal](err); ok {
		return err
	}
	if s, ok := errors.AsType[*mail.Status](err); ok {
		return s.SMTPError()
	}
	return err
}

// soften makes a refusal temporary (postconf(5): soft_bounce).
func soften(s *mail.Status) *mail.Status {
	if s.Code/100 != 5 {
		return s
	}
	soft := *s
	soft.Code -= 100
	if soft.Enhanced[0] == 5 {
		soft.Enhanced[0] = 4
	}
	return &soft
}
