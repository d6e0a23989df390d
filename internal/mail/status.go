package mail

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"
)

// Enhanced is an enhanced status code, RFC 3463. The zero value means none.
type Enhanced [3]uint16

// Code makes an enhanced status code: Code(5, 1, 1) is 5.1.1.
func Code(class, subject, detail uint16) Enhanced { return Enhanced{class, subject, detail} }

func (e Enhanced) String() string { return fmt.Sprintf("%d.%d.%d", e[0], e[1], e[2]) }

// Status is the answer to a command or the fate of a recipient: an SMTP reply code,
// an enhanced status code, and a text for the peer. It carries no internals.
// Code is 0 where no SMTP reply was involved (a connection that failed).
type Status struct {
	Code     int
	Enhanced Enhanced
	Text     string
}

// Error makes a Status usable as an error at the borders between rooms.
func (s *Status) Error() string {
	if s.Enhanced == (Enhanced{}) {
		return fmt.Sprintf("%d %s", s.Code, s.Text)
	}
	return fmt.Sprintf("%d %s %s", s.Code, s.Enhanced, s.Text)
}

// Temporary tells whether the same attempt may succeed later. What is not clearly
// permanent is temporary.
func (s *Status) Temporary() bool {
	if s.Code != 0 {
		return s.Code/100 != 5
	}
	return s.Enhanced[0] != 5
}

// SMTPError is the same answer in go-smtp's words.
func (s *Status) SMTPError() *smtp.SMTPError {
	return &smtp.SMTPError{
		Code:         s.Code,
		EnhancedCode: smtp.EnhancedCode{int(s.Enhanced[0]), int(s.Enhanced[1]), int(s.Enhanced[2])},
		Message:      s.Text,
	}
}

// StatusOf finds the status in an error. An unknown error is temporary, and its text
// stays with the operator: the peer is told 451 4.3.0.
func StatusOf(err error) *Status {
	if err == nil {
		return nil
	}
	if s, ok := errors.AsType[*Status](err); ok {
		return s
	}
	if e, ok := errors.AsType[*smtp.SMTPError](err); ok {
		s := &Status{Code: e.Code, Text: e.Message}
		if e.EnhancedCode[0] > 0 {
			s.Enhanced = Code(uint16(e.EnhancedCode[0]), uint16(e.EnhancedCode[1]), uint16(e.EnhancedCode[2]))
		}
		return s
	}
	return &Status{Code: 451, Enhanced: Code(4, 3, 0), Text: "Temporary lookup failure"}
}

// SplitEnhanced takes an enhanced status code (RFC 3463) off the beginning of a text; zero
// if there is none.
func SplitEnhanced(s string) (e Enhanced, text string) {
	const space = " \t\r\n\v\f"
	s = strings.TrimLeft(s, space)
	word, rest := s, ""
	if i := strings.IndexAny(s, space); i >= 0 {
		word, rest = s[:i], strings.TrimLeft(s[i:], space)
	}
	parts := strings.Split(word, ".")
	if len(parts) != 3 || parts[0] != "2" && parts[0] != "4" && parts[0] != "5" {
		return Enhanced{}, s
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 16)
		if err != nil || len(part) > 3 || part[0] == '+' {
			return Enhanced{}, s
		}
		e[i] = uint16(n)
	}
	return e, rest
}

// ErrorDest is the error(8) destination that fails with this status.
func (s *Status) ErrorDest() Dest { return MakeDest("error", s.Enhanced.String()+" "+s.Text) }
