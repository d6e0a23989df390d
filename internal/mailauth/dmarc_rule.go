package mailauth

import (
	"context"
	"slices"
	"strings"

	"aliasmx/internal/mail"
)

// dmarc is about what the author's domain wants of mail that is not proven to be its own.
func (j *judge) dmarc(ctx context.Context) {
	if !j.v.o.DMARC || j.f.Author() == "" {
		return
	}
	author := shown(j.f.Author())
	switch r := &j.f.DMARC; {
	case r.Policy == "none" || r.Result == mail.AuthFail && r.Disposition == "none":
	case r.Result == mail.AuthTempError || r.Result == mail.AuthFail && j.f.mayPassLater():
		text := "DMARC of " + author + " cannot be checked now"
		j.rule(j.policy.DMARCTempError, refusalFor(Reject, text), refusalFor(Defer, text), text)
	case r.Result != mail.AuthFail:
	case r.Disposition == "reject":
		j.wantsRejection(ctx, author)
	case r.Disposition == "quarantine":
		j.quarantine(author, "quarantine", "")
	}
}

// mayPassLater tells whether a failure of DMARC is one because of a domain that could not be
// asked: the same message may pass in an hour.
func (f *Findings) mayPassLater() bool {
	aligned := func(domain string) bool {
		return f.DMARC.OrgDomain != "" && isBelow(asciiDomain(domain), f.DMARC.OrgDomain)
	}
	return f.SPF.Result == mail.AuthTempError && aligned(pathDomain(&f.Request)) ||
		slices.ContainsFunc(f.DKIM, func(s signature) bool { return s.Result == mail.AuthTempError && (s.Domain == "" || aligned(s.Domain)) })
}

// wantsRejection decides about a message whose author's domain wants it rejected. RFC 9989
// section 7.4: not for that reason alone, since mailing lists and forwarders break what the
// author had proven. So there has to be evidence against the message, and none for it.
func (j *judge) wantsRejection(ctx context.Context, author string) {
	if why, err := j.goodReason(ctx); why != "" || err != nil {
		if err != nil {
			why = err.Error()
		}
		j.quarantine(author, "reject", "; "+why)
		return
	}
	against := j.against()
	if len(against) == 0 {
		j.quarantine(author, "reject", "; no other evidence against it")
		return
	}
	evidence := strings.Join(against, ", ")
	text := "Unauthenticated mail from " + author + " is refused by the domain's DMARC policy: " + evidence
	j.rule(j.policy.DMARCReject, refusalFor(Reject, text), refusalFor(Defer, text),
		"DMARC of "+author+" fails (reject): "+evidence+"; no trusted ARC chain, no known forwarder")
}

// quarantine decides about a message that its author's domain wants apart from others.
func (j *judge) quarantine(author, wanted, why string) {
	text := "Unauthenticated mail from " + author + " is refused by the domain's DMARC policy"
	j.rule(j.policy.DMARCQuarantine, refusalFor(Reject, text), refusalFor(Defer, text), "DMARC of "+author+" fails ("+wanted+")"+why)
}

// goodReason is why a message may fail DMARC and be what it says, "" if there is no reason.
func (j *judge) goodReason(ctx context.Context) (string, error) {
	if known, err := j.knownForwarder(ctx); known || err != nil {
		return "known forwarder", err
	}
	if sealer := j.trustedSealer(); sealer != "" {
		return "ARC chain of " + shown(sealer), nil
	}
	if j.f.ARC.CV == mail.AuthTempError {
		return "ARC chain cannot be checked now", nil
	}
	return "", nil
}

// against is the evidence against a message: what a mailing list or a forwarder that does
// its work has no need of.
func (j *judge) against() (evidence []string) {
	domain := shown(pathDomain(&j.f.Request))
	if j.f.SPF.Result == mail.AuthFail {
		evidence = append(evidence, "SPF of "+domain+" fails")
	} else if j.f.Helo != nil && j.f.Helo.Result == mail.AuthFail {
		evidence = append(evidence, "SPF of "+shown(asciiDomain(j.f.Request.Client.Helo))+" (HELO) fails")
	}
	if !j.anybodyAnswersForIt() {
		evidence = append(evidence, "no SPF, DKIM or ARC passes for any domain")
	}
	return evidence
}

// anybodyAnswersForIt tells whether some domain says that the message came by it, or may do
// so once it can be asked.
func (j *judge) anybodyAnswersForIt() bool {
	answers := func(r mail.AuthResult) bool { return r == mail.AuthPass || r == mail.AuthTempError || r == "" }
	f := j.f
	return answers(f.SPF.Result) || answers(f.ARC.CV) || f.Helo != nil && answers(f.Helo.Result) ||
		!j.v.o.DKIM || slices.ContainsFunc(f.DKIM, func(s signature) bool { return answers(s.Result) })
}

// knownForwarder tells whether the client hands on mail of others (mailauth_known_forwarders).
func (j *judge) knownForwarder(ctx context.Context) (bool, error) {
	if j.v.o.KnownForwarders == nil {
		return false, nil
	}
	c := &j.f.Request.Client
	return j.v.o.KnownForwarders.Match(ctx, c.Name, c.Addr)
}

// trustedSealer is the domain whose word we take for what the chain says, "" if there is none.
func (j *judge) trustedSealer() string {
	chain := &j.f.ARC
	if chain.CV != mail.AuthPass || len(chain.Sealers) == 0 {
		return ""
	}
	// Every one of them may have made up what those before it said.
	for _, s := range chain.Sealers {
		if !slices.ContainsFunc(j.v.o.TrustedSealers, func(t string) bool { return asciiDomain(t) == asciiDomain(s) }) {
			return ""
		}
	}
	return chain.Sealers[len(chain.Sealers)-1]
}
