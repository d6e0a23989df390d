package mailauth

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth/authres"
)

// Options are what a Verifier works with.
type Options struct {
	Resolver   *dns.Resolver
	MyHostname string // myhostname
	AuthservID string // authserv_id
	// OtherIDs are those of our other servers: fields of their names are forged, too.
	OtherIDs []string

	SPF, DKIM, ARC, DMARC bool // spf_verify, dkim_verify, arc_verify, dmarc_verify

	MaxVerifications int              // dkim_max_verifications
	Timeout          time.Duration    // mailauth_timeout
	Gate             *Gate            // over all Verifiers; nil: one of its own
	Now              func() time.Time // nil: time.Now

	ResultsHeader bool // authentication_results_header
	ReceivedSPF   bool // received_spf_header

	// SubmissionsOnly: mail of strangers is not looked at (mailauth_enable = no).
	SubmissionsOnly bool

	Policy       Policy
	RejectAtRcpt bool // spf_reject_at_rcpt

	// Overrides is mailauth_policy_maps; Subdomains: a domain in it is also for those below it,
	// which otherwise stand there with a dot in front (parent_domain_matches_subdomains).
	Overrides  Overrides // nil: none
	Subdomains bool

	KnownForwarders Networks // mailauth_known_forwarders; nil: nobody
	TrustedSealers  []string // arc_trusted_sealers

	// Domains that our own servers speak for, so that SPF of what we send passes for them.
	// Nobody outside may say that he is of the same organisation. SenderDomain is the one of
	// rewritten senders (srs_domain), "" for none; HeloNames are what we call ourselves in HELO,
	// which counts where the reverse-path is null.
	SenderDomain string
	HeloNames    []string
	// Keeps tells whether mail that is forwarded keeps a reverse-path of a domain (srs_enable =
	// no, srs_exclude), and Sources are the addresses that it may leave from, as far as they are known:
	// where SPF of the domain names it, forged mail would pass. nil: it does not.
	Keeps   func(ctx context.Context, domain string) (bool, error)
	Sources func() []netip.Addr
	// Hosted tells whether mail for a domain comes to us. An error is temporary.
	Hosted func(ctx context.Context, domain string) (bool, error)
	// Signs tells whether we have a key to sign for a domain, or for one above it (dkim_keys):
	// whoever submits mail here may speak for it, and strangers have to prove that they may. An
	// error is temporary. nil: there are no keys.
	Signs func(ctx context.Context, domain string) (bool, error)
}

// Overrides is a list of tables: table.Maps, without the table that has answered.
type Overrides interface {
	Lookup(ctx context.Context, key string) (value string, found bool, err error)
}

// Networks is a list of clients: *table.AddrList. An error is temporary.
type Networks interface {
	Match(ctx context.Context, name string, addr netip.Addr) (bool, error)
}

// Verifier judges messages. It is safe for concurrent use.
type Verifier struct{ o Options }

// New makes a Verifier.
func New(o Options) *Verifier {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Gate == nil {
		o.Gate = NewGate(1)
	}
	if o.Sources == nil {
		o.Sources = func() []netip.Addr { return nil }
	}
	if o.Hosted == nil {
		o.Hosted = func(context.Context, string) (bool, error) { return false, nil }
	}
	return &Verifier{o: o}
}

// Forged tells whether a header field of a stranger says that it is ours.
func (v *Verifier) Forged(field []byte) bool {
	if v.o.SubmissionsOnly {
		return false
	}
	return authres.Ours(field, v.o.AuthservID) || slices.ContainsFunc(v.o.OtherIDs, func(id string) bool { return authres.Ours(field, id) })
}

// Transaction is what is being found out about one transaction. It is used by one goroutine.
type Transaction struct {
	v       *Verifier
	request mail.AuthRequest
	path    *pathCheck // nil: a submission, which is not judged
}

// Begin begins with what MAIL alone tells.
func (v *Verifier) Begin(ctx context.Context, r mail.AuthRequest) *Transaction {
	t := &Transaction{v: v, request: r}
	if !r.Trusted && !v.o.SubmissionsOnly {
		t.path = v.checkPath(ctx, r)
	}
	return t
}

// Close ends what is under way.
func (t *Transaction) Close() {
	if t.path != nil {
		t.path.close()
	}
}

// Path is the refusal that the envelope alone is enough for, nil if there is none.
func (t *Transaction) Path(ctx context.Context) *mail.Status {
	if t.path == nil || !t.v.o.RejectAtRcpt || !t.v.o.SPF {
		return nil
	}
	f := &Findings{Request: t.request}
	t.path.wait(f)
	ctx, cancel := context.WithTimeout(ctx, t.v.o.Timeout)
	defer cancel()
	d := t.v.decide(ctx, f, (*judge).spf)
	return d.Refused
}

// Message judges a message that has come whole.
func (t *Transaction) Message(ctx context.Context, m mail.AuthMessage) mail.AuthVerdict {
	ctx, cancel := context.WithTimeout(ctx, t.v.o.Timeout)
	defer cancel()
	switch {
	case t.request.Trusted:
		auth, err := t.v.Submitted(ctx, t.request, m.Body)
		if err != nil {
			return mail.AuthVerdict{Refused: status(451, mail.Code(4, 3, 0), "Temporary lookup failure"), Reason: err.Error()}
		}
		return mail.AuthVerdict{Auth: auth}
	case t.path == nil:
		return mail.AuthVerdict{}
	}
	f := &Findings{Request: t.request}
	if err := t.v.examine(ctx, f, t.path, m.Body); err != nil {
		return mail.AuthVerdict{
			Refused: &mail.Status{Code: 451, Enhanced: mail.Code(4, 3, 0), Text: "Error: queue file read error"},
			Reason:  "cannot read the message: " + err.Error(),
		}
	}
	return t.v.verdict(f, t.v.Decide(ctx, f))
}

// Examine finds out all there is to know of a message of a stranger, and decides, also where
// the daemon would not look at it (SubmissionsOnly). It is what check message does. An error
// is one of reading.
func (v *Verifier) Examine(ctx context.Context, r mail.AuthRequest, body mail.Body) (*Findings, Decision, error) {
	if v.o.SubmissionsOnly {
		v = &Verifier{o: v.o}
		v.o.SubmissionsOnly = false
	}
	r.Trusted = false
	t := v.Begin(ctx, r)
	defer t.Close()
	f := &Findings{Request: r}
	ctx, cancel := context.WithTimeout(ctx, v.o.Timeout)
	defer cancel()
	if err := v.examine(ctx, f, t.path, body); err != nil {
		return nil, Decision{}, err
	}
	return f, v.Decide(ctx, f), nil
}
