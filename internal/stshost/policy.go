package stshost

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/mtasts"
)

// NewPolicy makes the policy of our own domains: mode is mta_sts_mode, mx mta_sts_mx, maxAge
// mta_sts_max_age. It refuses what RFC 8461 section 3.2 does not allow.
func NewPolicy(mode string, mx []string, maxAge time.Duration) (mtasts.Policy, error) {
	p := mtasts.Policy{Version: "STSv1", Mode: mtasts.Mode(strings.ToLower(mode)), MaxAge: maxAge}
	for _, name := range mx {
		host := strings.TrimPrefix(name, "*.")
		// A name with "_" or without a dot has no certificate that senders would take.
		if !isASCII(host) || !mail.ValidHostname(host) || !strings.Contains(host, ".") || strings.Contains(host, "_") {
			return mtasts.Policy{}, fmt.Errorf("%q is neither the full name of a host nor such a name behind \"*.\"", name)
		}
		p.MX = append(p.MX, strings.ToLower(name))
	}
	// Whoever fetches it reads it by the same rules.
	if _, err := mtasts.ParsePolicy([]byte(p.String())); err != nil {
		return mtasts.Policy{}, err
	}
	return p, nil
}

// ID is the id of the domain's record: it changes when, and only when, the policy does.
func ID(p mtasts.Policy) string {
	sum := sha256.Sum256([]byte(p.String()))
	return hex.EncodeToString(sum[:10])
}

// Record is the text of the domain's record at _mta-sts.DOMAIN (RFC 8461 section 3.1).
func Record(p mtasts.Policy) string { return "v=STSv1; id=" + ID(p) + ";" }

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
