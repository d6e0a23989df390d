package queue

import (
	"context"

	"aliasmx/internal/mail"
)

// Transport delivers. It is safe for concurrent use.
type Transport interface {
	// Work opens at most one connection at a time to dest and delivers what src hands
	// out until src has nothing more. It reports each attempt it took to src.Done, also
	// when no connection could be had, and returns after the last report. It takes at
	// least one attempt. When ctx ends it finishes the attempt under way and returns.
	Work(ctx context.Context, dest mail.Dest, src mail.Source)
}

// Sites says who answers for a destination. It is safe for concurrent use, may ask the
// network, and need not give the newest answer. After an error the destination counts as
// a site of its own until it is asked again.
type Sites interface {
	Site(ctx context.Context, dest mail.Dest) (mail.Site, error)
}

// Notifier writes reports.
type Notifier interface {
	// Notify makes the message that tells a sender of r, ready to be queued: expanded
	// recipients, Prepend, and body. A nil envelope means that nobody is to be told (null
	// reverse-path, NOTIFY=NEVER). It does not wait for the network.
	Notify(ctx context.Context, r mail.Report) (*mail.Envelope, []byte, error)
}

// Copier is what a Notifier may be beside: it writes the copy of a report that the
// postmaster is to have (postconf(5): notify_classes). It is asked after Notify, about
// failures and delays; a nil envelope means that there is to be no copy. A copy that
// cannot be written is forgotten.
type Copier interface {
	Copy(ctx context.Context, r mail.Report) (*mail.Envelope, []byte, error)
}
