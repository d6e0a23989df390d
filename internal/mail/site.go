package mail

import "time"

// Site is who answers for a destination: the hosts that its mail goes to. Destinations
// whose mail goes to the same hosts are one site, however many domains they are: what
// one of them cannot bear none of them can.
type Site struct {
	// Name is the same for the same hosts; "": the destination is a site of its own.
	Name string
	// Hosts are their names, best first, no two the same.
	Hosts  []string
	Limits SiteLimits
}

// SiteLimits are what a site bears, beyond what holds for its transport. A zero field
// says nothing.
type SiteLimits struct {
	Concurrency int           // connections at a time
	Initial     int           // connections to begin with
	RateDelay   time.Duration // pause after each delivery; with one, there is one connection
	// Rate is how many deliveries begin in any Per, at most.
	Rate int
	Per  time.Duration
	// SlowReplies are replies that ask for less mail at a time. Each is an enhanced status
	// code ("4.7.28"), the beginning of one up to a dot ("4.7."), or words that such a reply
	// has in it, in any case.
	SlowReplies []string
}
