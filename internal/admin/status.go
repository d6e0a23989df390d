package admin

import "time"

// StatusDestinations is how many destinations Status has at most.
const StatusDestinations = 20

// Destination is the state of one destination: mail waits for it, there is a connection
// to it, or it is in trouble.
type Destination struct {
	Name        string    `json:"destination"`
	Site        string    `json:"site,omitempty"` // who answers for it; not there: not known yet
	Waiting     int       `json:"waiting"`        // deliveries that wait for a connection
	Attempts    int       `json:"attempts"`       // under way
	Connections int       `json:"connections"`
	Window      int       `json:"window"`                    // attempts at once that its site is given; 0: none
	DeadUntil   time.Time `json:"dead_until,omitzero"`       // not there: it is not suspended
	Reason      string    `json:"reason,omitempty"`          // why it is suspended or held
	Held        bool      `json:"held,omitempty"`            // by an operator
	Spacing     float64   `json:"spacing_seconds,omitempty"` // between deliveries, because replies have asked for it
}
