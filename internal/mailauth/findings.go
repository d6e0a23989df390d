package mailauth

import (
	"context"
	"errors"
	"sync"

	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth/arc"
	"aliasmx/internal/mailauth/dkim"
	"aliasmx/internal/mailauth/dmarc"
	"aliasmx/internal/mailauth/spf"
)

// Findings is what was found out about a message. A Result of "" says that nobody has asked.
type Findings struct {
	Request mail.AuthRequest

	Authors  []string // domains of the From fields
	NoAuthor string   // why there is no single author; "": there is

	nobody bool // there is no domain at all in the From field

	SPF   spf.Result  // of the reverse-path, or of the HELO name where that is null
	Helo  *spf.Result // of the HELO name; nil: nobody has asked
	DKIM  []dkim.Signature
	ARC   arc.Chain // CV is AuthTempError where the DNS could not say
	DMARC dmarc.Result

	aligned bool // SPF or DKIM has passed in alignment with the author
	open    bool // or may do so once somebody can be asked
}

// Author is the domain of the From field, "" where there is none, or several.
func (f *Findings) Author() string {
	if f.NoAuthor != "" || len(f.Authors) != 1 {
		return ""
	}
	return f.Authors[0]
}

// Aligned tells whether SPF or DKIM has passed in alignment with the author, who may have a
// DMARC record or none.
func (f *Findings) Aligned() bool { return f.aligned }

// examine finds out what there is to know of a message. An error is one of reading it.
func (v *Verifier) examine(ctx context.Context, f *Findings, path *pathCheck, body mail.Body) error {
	body, err := heldInMemory(body)
	if err != nil {
		return err
	}
	header, err := readHeader(body)
	switch {
	case errors.Is(err, errHeaderTooLong):
		f.NoAuthor = err.Error()
	case err != nil:
		return err
	default:
		f.Authors, f.NoAuthor = authors(header)
		f.nobody = f.NoAuthor != "" && namesNobody(header)
	}
	// A header of unknown end may hold signatures; the packages that verify have bounds of
	// their own.
	signed := v.o.DKIM && (header == nil || hasField(header, "DKIM-Signature"))
	sealed := v.o.ARC && (header == nil || hasField(header, "ARC-Seal") || hasField(header, "ARC-Message-Signature") ||
		hasField(header, "ARC-Authentication-Results"))
	if v.o.ARC && !sealed {
		f.ARC.CV = mail.AuthNone
	}
	// The policy is asked for while the signatures are verified: at the first message of a
	// domain its client would wait for one after the other otherwise.
	var published *dmarc.Evaluation
	var policy sync.WaitGroup
	find := func() { published = dmarc.Find(ctx, v.o.Resolver, f.Author()) }
	switch {
	case f.Author() == "":
	case signed || sealed:
		policy.Go(find)
	default:
		find()
	}
	err = v.readThrough(ctx, f, body, signed, sealed)
	policy.Wait()
	if err != nil {
		return err
	}
	path.wait(f)
	if published != nil {
		v.checkAuthor(ctx, f, f.Author(), published)
	}
	return nil
}

// readThrough verifies signatures and chain, side by side.
func (v *Verifier) readThrough(ctx context.Context, f *Findings, body mail.Body, signed, sealed bool) error {
	if !signed && !sealed {
		return nil
	}
	leave, err := v.o.Gate.enter(ctx, body)
	defer leave()
	if err != nil { // no turn within the time limit: nothing is known, for now
		if signed {
			f.DKIM = []dkim.Signature{{Result: mail.AuthTempError, Reason: "too much mail under way"}}
		}
		if sealed {
			f.ARC = arc.Chain{CV: mail.AuthTempError, Reason: "too much mail under way"}
		}
		return nil
	}
	var wg sync.WaitGroup
	var chainErr error
	if sealed {
		wg.Go(func() { f.ARC, chainErr = v.verifyChain(ctx, body) })
	}
	if signed {
		f.DKIM, err = v.verifySignatures(ctx, body)
	}
	wg.Wait()
	return errors.Join(err, chainErr)
}

func (v *Verifier) verifySignatures(ctx context.Context, body mail.Body) ([]dkim.Signature, error) {
	r, err := body.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return dkim.Verify(ctx, r, dkim.VerifyOptions{Resolver: v.o.Resolver, Max: v.o.MaxVerifications, Now: v.o.Now})
}

func (v *Verifier) verifyChain(ctx context.Context, body mail.Body) (arc.Chain, error) {
	r, err := body.Open()
	if err != nil {
		return arc.Chain{}, err
	}
	defer r.Close()
	chain, err := arc.Verify(ctx, r, arc.VerifyOptions{Resolver: v.o.Resolver, Now: v.o.Now})
	if chain.Temporary {
		chain.CV = mail.AuthTempError
	}
	return chain, err
}

// checkAuthor applies what the author's domain has published, and finds what is aligned with it.
func (v *Verifier) checkAuthor(ctx context.Context, f *Findings, author string, published *dmarc.Evaluation) {
	path := dmarc.Identity{Domain: pathDomain(&f.Request), Result: f.SPF.Result}
	signers := f.signers()
	f.DMARC = published.Check(path, signers)
	switch f.aligned = f.DMARC.SPFAligned || f.DMARC.DKIMAligned; {
	case f.DMARC.Result == mail.AuthTempError:
		f.open = true
	case f.DMARC.Result == mail.AuthNone:
		// Without a record nobody asks for alignment; we do (package comment).
		f.aligned, f.open = v.anyAligned(ctx, author, append(signers, path))
	}
}

// signers are the domains of the signatures, with what became of them.
func (f *Findings) signers() []dmarc.Identity {
	list := make([]dmarc.Identity, 0, len(f.DKIM)+1)
	for _, s := range f.DKIM {
		list = append(list, dmarc.Identity{Domain: s.Domain, Result: s.Result})
	}
	return list
}

// anyAligned tells whether one of several identities has passed and is of the same
// organisation as a domain, or may be found to have, later.
func (v *Verifier) anyAligned(ctx context.Context, domain string, list []dmarc.Identity) (passes, later bool) {
	for _, id := range list {
		if id.Result != mail.AuthPass && id.Result != mail.AuthTempError {
			continue
		}
		same, err := v.sameOrganisation(ctx, domain, asciiDomain(id.Domain))
		switch {
		case err != nil || same && id.Result == mail.AuthTempError || id.Domain == "":
			later = true
		case same:
			return true, false
		}
	}
	return false, later
}

// sameOrganisation tells whether two domains have one organisational domain.
func (v *Verifier) sameOrganisation(ctx context.Context, a, b string) (bool, error) {
	if a == b {
		return a != "", nil
	}
	if a == "" || b == "" || sharedLabels(a, b) == 0 {
		return false, nil
	}
	orgA, err := dmarc.OrgDomain(ctx, v.o.Resolver, a)
	if err != nil {
		return false, err
	}
	if !isBelow(b, orgA) {
		return false, nil
	}
	orgB, err := dmarc.OrgDomain(ctx, v.o.Resolver, b)
	return err == nil && orgA == orgB, err
}

type signature = dkim.Signature
