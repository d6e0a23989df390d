package queue

import (
	"cmp"
	"slices"
	"strings"

	"aliasmx/internal/mail"
)

// localTransport takes recipients one by one (local_destination_recipient_limit = 1):
// what one of them leads to can take long, fail in its own way, and must be recorded
// before the next one begins.
const localTransport = "local"

// RecipientLimits are how many recipients a job has at most.
type RecipientLimits struct {
	// Default is default_destination_recipient_limit; zero or less is
	// DestinationRecipientLimit.
	Default int
	// Of has the limits of single transports (smtp_destination_recipient_limit, ...).
	Of map[string]int
}

func (l RecipientLimits) of(d mail.Dest) int {
	if n := l.Of[d.Transport()]; n > 0 {
		return n
	}
	if l.Default <= 0 {
		return DestinationRecipientLimit
	}
	return l.Default
}

// SplitRcpts divides the recipients of env that are not finished into jobs of one
// destination and of no more recipients than limits allow.
//
// Who shares a job with whom is decided as Postfix's qmgr does it: in the order of
// compareRcpts. Within a job the indexes ascend.
func SplitRcpts(env *mail.Envelope, open []int, limits RecipientLimits) [][]int {
	if len(open) == 1 {
		return [][]int{{open[0]}}
	}
	var jobs [][]int
	for _, i := range deliveryOrder(env, open) {
		last := len(jobs) - 1
		if last < 0 || len(jobs[last]) >= limits.of(env.Rcpts[i].Dest) || env.Rcpts[i].Dest.Transport() == localTransport || env.Rcpts[jobs[last][0]].Dest != env.Rcpts[i].Dest {
			jobs = append(jobs, nil)
			last++
		}
		jobs[last] = append(jobs[last], i)
	}
	for _, job := range jobs {
		slices.Sort(job)
	}
	return jobs
}

// Above bulkSize octets, or bulkJobs jobs, a message is bulk.
const (
	bulkSize = 256 << 10
	bulkJobs = 2
)

// IsBulk tells whether the jobs of a message, so many, can wait while others go first: it
// is large, goes to many, or is a report.
func IsBulk(env *mail.Envelope, jobs int) bool {
	return env.Size > bulkSize || jobs > bulkJobs || env.Flags&mail.FlagNotice != 0
}

// deliveryOrder returns recipients in the order in which they are named to a next hop.
func deliveryOrder(env *mail.Envelope, rcpts []int) []int {
	if len(rcpts) < 2 {
		return rcpts
	}
	rcpts = slices.Clone(rcpts)
	slices.SortStableFunc(rcpts, func(i, j int) int { return compareRcpts(&env.Rcpts[i], &env.Rcpts[j]) })
	return rcpts
}

// compareRcpts orders by transport, next hop, domain in any case, and whole address
// (qmgr_message_sort). Recipients of one domain stay together, so that a next hop that
// serves many domains gets a domain's in as few transactions as can be.
func compareRcpts(a, b *mail.Recipient) int {
	if a.Dest != b.Dest {
		return cmp.Or(strings.Compare(a.Dest.Transport(), b.Dest.Transport()), strings.Compare(a.Dest.NextHop(), b.Dest.NextHop()))
	}
	if (a.Final.Domain == "") != (b.Final.Domain == "") { // who has none comes last
		return strings.Compare(b.Final.Domain, a.Final.Domain)
	}
	if c := strings.Compare(strings.ToLower(a.Final.Domain), strings.ToLower(b.Final.Domain)); c != 0 {
		return c
	}
	return compareAddresses(a.Final, b.Final)
}

// compareAddresses compares local@domain, byte by byte.
func compareAddresses(a, b mail.Address) int {
	n := min(len(a.Local), len(b.Local))
	if c := strings.Compare(a.Local[:n], b.Local[:n]); c != 0 {
		return c
	}
	return strings.Compare(a.Local[n:]+"@"+a.Domain, b.Local[n:]+"@"+b.Domain)
}
