package alias

import (
	"context"
	"strings"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

// The domain of rewritten senders (srs_domain). Its addresses are where bounces of forwarded
// mail come back to: each stands for the sender that it was made from, and leads to nobody
// else. The domain is one of ours, of the class of alias domains, without being in a list.

// Returns knows the addresses that stand for senders. It is safe for concurrent use and does
// not wait.
type Returns interface {
	// Ours tells whether a domain is the one that holds them.
	Ours(domain string) bool
	// IsReturn tells whether an address of that domain is meant to be one, good or not.
	IsReturn(a mail.Address) bool
	// Return is the sender that such an address stands for. A refusal is a *mail.Status, as
	// that of Resolver.Expand.
	Return(a mail.Address) (mail.Address, error)
}

// holdsReturns tells whether a domain is the one of rewritten senders.
func (r *Resolver) holdsReturns(domain string) bool {
	return r.o.Returns != nil && r.o.Returns.Ours(domain)
}

// isReturn tells whether an address is meant to stand for a sender. Whether a route to
// elsewhere is in its local part is then no matter: it is that of the sender.
func (r *Resolver) isReturn(a mail.Address) bool {
	return r.holdsReturns(a.Domain) && r.o.Returns.IsReturn(a)
}

// returned is the sender that an address stands for; the address itself where it is none of
// those. An error is a *mail.Status.
func (r *Resolver) returned(a mail.Address, tr *trace) (mail.Address, error) {
	if r.keepReturns || !r.isReturn(a) {
		return a, nil
	}
	to, err := r.o.Returns.Return(a)
	if err != nil {
		return a, err
	}
	if tr != nil {
		tr.note("%s -> %s  (srs_domain: the sender that it was made from)", external(a), external(to))
	}
	return to, nil
}

// unreturned is the recipient that a refusal of Returns makes, where nobody is there to be
// refused: it goes back to the sender.
func (r *Resolver) unreturned(req mail.RcptRequest, a mail.Address, refusal error) ([]mail.Recipient, error) {
	st := mail.StatusOf(refusal)
	if r.refuseUnlisted && !req.Unlisted || st.Temporary() {
		return nil, refusal
	}
	rcpt := mail.Recipient{Final: a, Orig: req.Addr, ORcpt: req.ORcpt, Notify: req.Notify}
	if rcpt.ORcpt == "" {
		rcpt.ORcpt = "rfc822;" + external(req.Addr)
	}
	rcpt.Dest = mail.MakeDest("error", st.Enhanced.String()+" "+st.Text)
	return []mail.Recipient{rcpt}, nil
}

// postmasterOfReturns tells the one mailbox that the domain of rewritten senders has whatever
// the tables say (RFC 5321 section 4.5.1).
func (r *Resolver) postmasterOfReturns(a mail.Address) bool {
	return strings.EqualFold(a.Local, "postmaster") && r.holdsReturns(a.Domain)
}

// expandPostmaster is expand for an address that is neither a return nor refused by now: the
// postmaster of the domain of rewritten senders is ours, unless a table says another.
func (r *Resolver) expandPostmaster(ctx context.Context, a mail.Address, tr *trace) (expansion, error) {
	x, err := r.expand(ctx, a, tr)
	if err != nil || x.matched || !r.postmasterOfReturns(a) {
		return x, err
	}
	ours := r.Complete(mail.Address{Local: a.Local})
	if r.holdsReturns(ours.Domain) {
		return x, nil
	}
	if tr != nil {
		tr.note("%s -> %s  (RFC 5321 section 4.5.1)", external(a), external(ours))
	}
	x, err = r.expand(ctx, ours, tr)
	x.matched = true
	return x, err
}

// DomainLists calls yield with each list of domains of ours, and the parameter that it is of.
func (r *Resolver) DomainLists(yield func(parameter string, list *table.DomainList) bool) {
	for _, l := range r.classLists() {
		if l.list != nil && !yield(l.name, l.list) {
			return
		}
	}
}
