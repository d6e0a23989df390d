package delivery

import (
	"strconv"
	"strings"

	"aliasmx/internal/mail"
)

// What a server says that it takes (RFC 9422): a message with more recipients goes in
// several transactions, and the connection is not used for more of them than it may.

// limits are the parameters of LIMITS; 0 is no limit.
type limits struct {
	rcpts   int // RCPTMAX: RCPTs of one transaction
	domains int // RCPTDOMAINMAX: different domains among them
	mails   int // MAILMAX: transactions of one connection
}

// limitDigits is how long a limit can be (RFC 9422 section 3).
const limitDigits = 6

// parseLimits reads the line of EHLO: "LIMITS RCPTMAX=20 MAILMAX=5". What is unknown or
// malformed is no limit.
func parseLimits(line string) limits {
	var l limits
	for _, word := range strings.Fields(line)[1:] {
		name, value, _ := strings.Cut(word, "=")
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil || len(value) > limitDigits {
			continue
		}
		switch strings.ToUpper(name) {
		case "RCPTMAX":
			l.rcpts = int(n)
		case "RCPTDOMAINMAX":
			l.domains = int(n)
		case "MAILMAX":
			l.mails = int(n)
		}
	}
	return l
}

// mayMail tells whether a connection that has had some transactions may have another.
func (l limits) mayMail(uses int) bool { return l.mails == 0 || uses < l.mails }

// fit is how many of the positions left may go in one transaction.
func (l limits) fit(a *mail.Attempt, left []int) int {
	n := len(left)
	if l.rcpts > 0 {
		n = min(n, l.rcpts)
	}
	if l.domains == 0 {
		return n
	}
	seen := make(map[string]bool)
	for i, pos := range left[:n] {
		seen[strings.ToLower(a.Env.Rcpts[a.Rcpts[pos]].Final.Domain)] = true
		if len(seen) > l.domains {
			return i
		}
	}
	return n
}

// rest takes off the job those that do not fit into one transaction, and returns them.
func (s *session) rest(j *job) []int {
	n := s.limits.fit(j.a, j.left)
	if n == len(j.left) {
		return nil
	}
	rest := append([]int(nil), j.left[n:]...)
	j.left = j.left[:n]
	return rest
}
