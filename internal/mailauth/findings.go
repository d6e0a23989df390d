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

	SPF   spf.Result  // of the reverse-path, or of the HELO name where that is null
	Helo  *spf.Result // of the HELO name; nil: nobody has asked
	DKIM  []dkim.Signature
	ARC   arc.Chain // CV is AuthTempError where the DNS could not say
	DMARC dmarc.Result
}

// Author is the domain of the From field, "" where there is none, or several.
func (f *Findings) Author() string {
	if f.NoAuthor != "" || len(f.Authors) != 1 {
		return ""
	}
	return f.Authors[0]
}

// Aligned tells whether SPF or DKIM has passed in alignment with the author.
func (f *Findings) Aligned() bool {
	return f.Author() != "" && (f.DMARC.SPFAligned || f.DMARC.DKIMAligned)
}

// examine finds out what there is to know of a message. An error is one of reading it.
func (v *Verifier) examine(ctx context.Context, f *Findings, path *pathCheck, body mail.Body) error {
	header, err := readHeader(body)
	switch {
	case errors.Is(err, errHeaderTooLong):
		f.NoAuthor = err.Error()
	case err != nil:
		return err
	default:
		f.Authors, f.NoAuthor = authors(header)
	}
	// A header of unknown end may hold signatures; the packages that verify have bounds of
	// their own.
	signed := v.o.DKIM && (header == nil || hasField(header, "DKIM-Signature"))
	sealed := v.o.ARC && (header == nil || hasField(header, "ARC-Seal") || hasField(header, "ARC-Message-Signature") ||
		hasField(header, "ARC-Authentication-Results"))
	if v.o.ARC && !sealed {
		f.ARC.CV = mail.AuthNone
	}
	if err := v.readThrough(ctx, f, body, signed, sealed); err != nil {
		return err
	}
	path.wait(f)
	if author := f.Author(); author != "" {
		v.checkAuthor(ctx, f, author)
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

// checkAuthor asks for the policy of the author's domain, and what is aligned with it.
func (v *Verifier) checkAuthor(ctx context.Context, f *Findings, author string) {
	path := dmarc.Identity{Domain: pathDomain(&f.Request), Result: f.SPF.Result}
	signers := make([]dmarc.Identity, 0, len(f.DKIM))
	for _, s := range f.DKIM {
		signers = append(signers, dmarc.Identity{Domain: s.Domain, Result: s.Result})
	}
	f.DMARC = dmarc.Check(ctx, v.o.Resolver, author, path, signers)
}

type signature = dkim.Signature
