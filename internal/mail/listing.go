package mail

import "time"

// Listed is one message as the queue's operators see it: postqueue(1).
type Listed struct {
	Queue   string // active, incoming, deferred, hold, corrupt
	ID      QueueID
	Arrived time.Time
	Size    int64 // message content, with what we put on top
	Sender  Address
	Expired bool // forced to expire by an operator
	Rcpts   []ListedRcpt
}

// ListedRcpt is a recipient that is not done yet.
type ListedRcpt struct {
	Address Address
	Orig    string // as Recipient.OrigTo
	Reason  string // why it is late, "" when it was not tried yet
	Dest    Dest   // where it is to go; "" in the corrupt queue
}
