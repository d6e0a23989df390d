package stshost

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"aliasmx/internal/mail"
)

// MaxAge is the most that a policy may ask to be remembered (RFC 8461 section 3.2).
const MaxAge = 31_557_600 * time.Second

// Policy is what a domain says of its MX hosts.
type Policy struct {
	Mode   string        // none, testing or enforce (mta_sts_mode)
	MX     []string      // hosts, or *.domain for all hosts one label below (mta_sts_mx)
	MaxAge time.Duration // how long senders remember it, in whole seconds (mta_sts_max_age)
}

// Check finds what the syntax of RFC 8461 section 3.2 does not allow.
func (p Policy) Check() error {
	switch p.Mode {
	case "none":
	case "testing", "enforce":
		if len(p.MX) == 0 {
			return errors.New("a policy of mode " + p.Mode + " must name the MX hosts")
		}
	default:
		return fmt.Errorf("unknown mode %q; write none, testing or enforce", p.Mode)
	}
	if p.MaxAge < 0 || p.MaxAge > MaxAge {
		return fmt.Errorf("max_age %d is not from 0 to %d", p.MaxAge/time.Second, MaxAge/time.Second)
	}
	for _, mx := range p.MX {
		host := strings.TrimPrefix(mx, "*.")
		if !isASCII(host) || !mail.ValidHostname(host) || !strings.Contains(host, ".") || strings.Contains(host, "_") {
			return fmt.Errorf("%q is neither the full name of a host nor such a name behind \"*.\"", mx)
		}
	}
	return nil
}

// Text is the policy as it is served.
func (p Policy) Text() string {
	var b strings.Builder
	b.WriteString("version: STSv1\r\nmode: " + p.Mode + "\r\n")
	for _, mx := range p.MX {
		b.WriteString("mx: " + strings.ToLower(mx) + "\r\n")
	}
	b.WriteString("max_age: " + strconv.FormatInt(int64(p.MaxAge/time.Second), 10) + "\r\n")
	return b.String()
}

// ID is the id of the domain's record: up to 32 letters and digits.
func (p Policy) ID() string {
	sum := sha256.Sum256([]byte(p.Text()))
	return hex.EncodeToString(sum[:10])
}

// Record is the text of the domain's record at _mta-sts.DOMAIN (RFC 8461 section 3.1).
func (p Policy) Record() string { return "v=STSv1; id=" + p.ID() + ";" }

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
