package alias

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"aliasmx/internal/mail"
)

// The values of attributes.

// attributeWords parts a value at blanks outside quotes. Quotes are not part of a word.
func attributeWords(value string) (words []string, err error) {
	var w strings.Builder
	begun, quoted := false, false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '"':
			quoted, begun = !quoted, true
		case !quoted && (c == ' ' || c == '\t'):
			if begun {
				words = append(words, w.String())
				w.Reset()
			}
			begun = false
		case c < ' ' && c != '\t' || c == 0x7f:
			return nil, errors.New("control character in the attributes")
		default:
			w.WriteByte(c)
			begun = true
		}
	}
	if quoted {
		return nil, errors.New(`missing " at the end of the attributes`)
	}
	if begun {
		words = append(words, w.String())
	}
	return words, nil
}

// expiry reads a day, which is over with its last moment in UTC, or a moment.
func expiry(text string) (time.Time, error) {
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.AddDate(0, 0, 1), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("expires=%s is neither a day (2027-01-31) nor a time (2027-01-31T18:00:00Z)", text)
	}
	return t, nil
}

// senderPatterns reads a list of patterns, in lower case.
func senderPatterns(text string) (list []string, err error) {
	for p := range strings.SplitSeq(strings.ToLower(text), ",") {
		p = strings.TrimSpace(p)
		user, domain, at := strings.Cut(p, "@")
		switch {
		case p == "<>":
		case len(p) > 1 && p[0] == '.' && !at:
		case at && domain != "" && !strings.Contains(domain, "@") && (user != "" || p[0] == '@'):
		default:
			return nil, fmt.Errorf("senders=%s: %q is none of user@domain, @domain, .domain, <>", text, p)
		}
		switch {
		case at:
			p = user + "@" + asciiName(domain)
		case p[0] == '.':
			p = "." + asciiName(p[1:])
		}
		list = append(list, p)
	}
	return list, nil
}

// asciiName is a domain as A-labels, where it is a name.
func asciiName(domain string) string {
	if a, err := idna.Lookup.ToASCII(domain); err == nil {
		return a
	}
	return domain
}

// suspension reads how to refuse: TEXT, or CODE X.Y.Z TEXT.
func suspension(text string) (*mail.Status, error) {
	s := &mail.Status{Code: 550, Enhanced: mail.Code(5, 2, 1)}
	if len(text) > 3 && text[3] == ' ' {
		if code, err := strconv.Atoi(text[:3]); err == nil {
			if code < 400 || code > 599 {
				return nil, fmt.Errorf("suspended: %d is not a reply that refuses (400 to 599)", code)
			}
			s.Code, s.Enhanced = code, mail.Code(uint16(code/100), 2, 1)
			text = text[4:]
		}
	}
	if e, rest := mail.SplitEnhanced(text); e != (mail.Enhanced{}) {
		if int(e[0]) != s.Code/100 {
			return nil, fmt.Errorf("suspended: the status code %s does not belong to the reply code %d", e, s.Code)
		}
		s.Enhanced, text = e, rest
	}
	if text == "" {
		text = "Address suspended"
	}
	s.Text = "Recipient address rejected: " + text
	return s, nil
}

// ParseRate reads N/UNIT, with a unit of s, m, h or d; N alone is N/h.
func ParseRate(text string) (n int, per time.Duration, err error) {
	count, unit, _ := strings.Cut(text, "/")
	switch unit {
	case "s":
		per = time.Second
	case "m":
		per = time.Minute
	case "", "h":
		per = time.Hour
	case "d":
		per = 24 * time.Hour
	}
	n, err = strconv.Atoi(count)
	if err != nil || n < 1 || per == 0 {
		return 0, 0, fmt.Errorf("rate %q is not NUMBER/UNIT, with a unit of s, m, h or d", text)
	}
	return n, per, nil
}
