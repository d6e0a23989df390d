package smtpd

import (
	"context"
	"net/netip"

	"github.com/emersion/go-sasl"

	"aliasmx/internal/mail"
)

// Recipients decides about addresses. It is safe for concurrent use, may wait for a
// remote table as long as ctx lives, and is replaced as a whole on reload.
type Recipients interface {
	// Complete gives a bare name or a partial domain the domain that is meant
	// (append_at_myorigin, append_dot_mydomain). The null reverse-path stays null.
	Complete(a mail.Address) mail.Address

	// Sender is what becomes of a reverse-path, and which copies the message is to have
	// because of it. An error is temporary.
	Sender(ctx context.Context, a mail.Address) (mail.Reverse, error)

	// Class is the address class of a completed address. An error is temporary.
	Class(ctx context.Context, a mail.Address) (mail.Class, error)

	// Expand says where a recipient leads, with a destination for each. A refusal is a
	// *mail.Status whose Text is what follows "<address>: " in the reply, as in
	// "Recipient address rejected: User unknown in virtual alias table".
	Expand(ctx context.Context, r mail.RcptRequest) ([]mail.Recipient, error)

	// HeaderAddress is what an address in a header field becomes: completed, and in its
	// canonical form. Sender tells the fields that say who a message is from, such as
	// Reply-To; remoteDomain completes addresses instead of our own names ("": ours). An
	// error is temporary.
	HeaderAddress(ctx context.Context, a mail.Address, sender bool, remoteDomain string) (mail.Address, error)
}

// Enqueuer keeps messages. It is safe for concurrent use, and may be a Flow, too.
type Enqueuer interface {
	// Admit tells at MAIL whether a message of the declared size (0: not declared) may
	// come: nil or a *mail.Status to refuse with (452 4.3.1).
	Admit(size int64) error

	// NewID returns a fresh queue ID, for the log and for the message to be staged.
	NewID() mail.QueueID

	// Stage begins a message at DATA.
	Stage(ctx context.Context) (mail.Draft, error)
}

// Reputation knows how much mail our addresses have had. It is safe for concurrent use and
// may wait for a table as long as ctx lives; an error is temporary.
type Reputation interface {
	// Recipient is asked once for each recipient that is about to be accepted, of clients that
	// are not trusted, and counts it if it may be.
	Recipient(ctx context.Context, a mail.Address) (mail.AliasVerdict, error)
}

// Relayer is what a Draft of the Enqueuer may be beside: it gives the message to its next
// hops while the client waits (relay_while_connected).
type Relayer interface {
	// Relay ends the draft as Commit does, or with a result that says that nobody takes the
	// message. It waits for the next hops as long as it may. After an error, which is a
	// *mail.Status, and after a refusal nothing of the message is kept.
	Relay(ctx context.Context, env *mail.Envelope, with mail.WhileConnected) (mail.Relayed, error)
}

// What restrictions ask. All of it is safe for concurrent use and returns soon after
// ctx has ended.

// Table is a lookup table: table.Table. An error means that it could not answer.
type Table interface {
	Lookup(ctx context.Context, key string) (value string, found bool, err error)
	Name() string // TYPE:NAME
}

// Logins knows who may log in (RFC 4954). Its errors are *mail.Status: with code 535 the
// client has failed, and the text is the reason; with any other, and with any other
// error, nobody can say now.
type Logins interface {
	// Mechanisms are those that a client is offered. It may wait for a server.
	Mechanisms(ctx context.Context, secured bool) []string

	// Begin begins an exchange, which lasts no longer than ctx.
	Begin(ctx context.Context, r LoginRequest) (Login, error)
}

// LoginRequest is what is known when a client begins to log in.
type LoginRequest struct {
	Mechanism      string // as the client has written it
	Client, Server netip.AddrPort
	Secured        bool // by TLS
}

// Login is an attempt to log in. Next is given responses without base64, nil for none. It
// is used by one goroutine.
type Login interface {
	sasl.Server
	Username() string // who it is about; "" while that is not known
	Close()           // ends it, finished or not
}

// Words is a list of words: *table.DomainList.
type Words interface {
	Match(ctx context.Context, word string) (bool, error)
}

// Resolver asks the DNS.
type Resolver interface {
	// MX and NS are the names of a domain's mail exchangers, most preferred first, and of
	// its name servers; Addrs the addresses of a host, hosts(5) included.
	MX(ctx context.Context, domain string) ([]string, error)
	NS(ctx context.Context, domain string) ([]string, error)
	Addrs(ctx context.Context, host string) ([]netip.Addr, error)

	// NotFound tells whether an error of these says that there is nothing, and NullMX that
	// the domain takes no mail (RFC 7505). Any other error is temporary.
	NotFound(err error) bool
	NullMX(err error) bool
}

// DNSList is a list of clients or domains that is published in the DNS (RFC 5782), with
// the answers of it that count.
type DNSList interface {
	// Name is the list's domain and, behind =, the answers that count, as configured.
	Name() string

	// Address and Domain tell whether something is listed, and the text about it. An error
	// is temporary.
	Address(ctx context.Context, a netip.Addr) (listed bool, text string, err error)
	Domain(ctx context.Context, domain string) (listed bool, text string, err error)
}

// Policy is a policy server (SMTPD_POLICY_README).
type Policy interface {
	Name() string

	// Ask sends attributes, name and value, in their order, and returns the action of
	// access(5) that the server wants.
	Ask(ctx context.Context, attributes [][2]string) (action string, err error)

	// DefaultAction is the action when Ask fails (smtpd_policy_service_default_action).
	DefaultAction() string
}

// Verifier finds out whether mail to an address would be taken
// (ADDRESS_VERIFICATION_README). A call waits for at most the time of a poll; an address
// that is then not decided is VerdictPending. An error means that nobody can say.
type Verifier interface {
	VerifyRecipient(ctx context.Context, a mail.Address) (mail.Verdict, error)
	VerifySender(ctx context.Context, a mail.Address) (mail.Verdict, error)
}
