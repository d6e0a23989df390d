package mailauth

import (
	"context"
	"net/netip"
	"strings"

	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth/dmarc"
	"aliasmx/internal/mailauth/spf"
)

// Route is how a message leaves us.
type Route struct {
	Sender mail.Address // reverse-path that it leaves with
	Source netip.Addr   // our address; the zero value: not known
	Helo   string       // what we call ourselves
	// Changes are the settings that change bytes of what we forward, so that no signature
	// survives.
	Changes []string
	Sealer  string // arc_sign_domain; "": nobody seals
}

// Forwarded is what the destination will see of a message that is forwarded.
type Forwarded struct {
	Sender string
	SPF    spf.Result // Result "" where our source address is not known
	DKIM   []Survivor
	ARC    mail.AuthResult
	DMARC  dmarc.Result // of an author, if there is one
	Why    []string     // in words
}

// Survivor is a signature, and whether it verifies at the destination.
type Survivor struct {
	Domain, Selector string
	Survives         bool
	Why              string // why it does not
}

// Predict tells what the destination will find out about a message, from what we have found.
func (v *Verifier) Predict(ctx context.Context, f *Findings, r Route) Forwarded {
	ctx, cancel := context.WithTimeout(ctx, v.o.Timeout)
	defer cancel()
	out := Forwarded{Sender: r.Sender.String(), ARC: f.arc()}
	say := func(parts ...string) { out.Why = append(out.Why, strings.Join(parts, "")) }

	path := dmarc.Identity{Domain: asciiDomain(r.Sender.Domain)}
	if r.Sender.IsNull() {
		path.Domain = asciiDomain(r.Helo)
	}
	if r.Source.IsValid() {
		out.SPF = spf.Check(ctx, v.o.Resolver, spf.Request{IP: r.Source, Helo: r.Helo, Sender: r.Sender, Receiver: v.o.MyHostname, Now: v.o.Now})
		path.Result = out.SPF.Result
		say("SPF of ", shown(path.Domain), " from ", r.Source.String(), ": ", string(out.SPF.Result))
	} else {
		say("SPF of ", shown(path.Domain), ": our source address is not known")
	}

	var signers []dmarc.Identity
	for i := range f.DKIM {
		s := survivor(&f.DKIM[i], r.Changes)
		out.DKIM = append(out.DKIM, s)
		if s.Survives {
			signers = append(signers, dmarc.Identity{Domain: s.Domain, Result: mail.AuthPass})
			say("DKIM signature of ", shown(s.Domain), " survives: nothing below our Received field changes")
		} else {
			say("DKIM signature of ", shown(s.Domain), " does not verify there: ", s.Why)
		}
	}
	if len(f.DKIM) == 0 && v.o.DKIM {
		say("there is no DKIM signature")
	}
	out.seal(f, r.Sealer, say)

	author := f.Author()
	if author == "" {
		say("no DMARC result: ", f.NoAuthor)
		return out
	}
	out.DMARC = dmarc.Check(ctx, v.o.Resolver, author, path, signers)
	out.explain(author, say)
	return out
}

func survivor(s *signature, changes []string) Survivor {
	out := Survivor{Domain: s.Domain, Selector: s.Selector}
	switch {
	case s.Result != mail.AuthPass:
		out.Why = "it is " + string(s.Result) + " now"
		if s.Reason != "" {
			out.Why += " (" + clipped(s.Reason, 200) + ")"
		}
	case len(changes) > 0:
		out.Why = strings.Join(changes, ", ") + " may change the message"
	default:
		out.Survives = true
	}
	return out
}

// seal says what becomes of the chain.
func (out *Forwarded) seal(f *Findings, sealer string, say func(...string)) {
	switch {
	case sealer == "" && out.ARC != "" && out.ARC != mail.AuthNone:
		say("the ARC chain goes on as it came: ", string(out.ARC))
	case sealer != "" && out.ARC == mail.AuthFail:
		say("the ARC chain has failed, and is sealed as failed")
	case sealer != "":
		say("ARC: sealed by ", sealer)
	}
}

// explain says what DMARC comes to, and by what.
func (out *Forwarded) explain(author string, say func(...string)) {
	author = shown(author)
	switch d := &out.DMARC; {
	case d.Result == mail.AuthPass && d.DKIMAligned:
		say("DMARC of ", author, " passes there by a DKIM signature")
	case d.Result == mail.AuthPass:
		say("DMARC of ", author, " passes there by SPF")
	case d.Result == mail.AuthNone:
		say(author, " has no DMARC policy")
	case d.Result == mail.AuthFail && d.Disposition == "reject":
		say("DMARC of ", author, " fails there, and its policy is reject: it is likely to be refused")
	case d.Result == mail.AuthFail:
		say("DMARC of ", author, " fails there; its policy: ", d.Disposition)
	default:
		say("DMARC of ", author, " cannot be told: ", string(d.Result))
	}
}
