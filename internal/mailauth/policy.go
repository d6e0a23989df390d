package mailauth

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"aliasmx/internal/mail"
)

// What becomes of a message, given what was found: one rule after the other has its say, and
// the strictest ruling is carried out.

// Action is what is done with a message, from the mildest to the strictest.
type Action uint8

// The actions. Tag takes the message as Ignore does, and sees to it that the results stand
// above it even where authentication_results_header = no.
const (
	Ignore Action = iota
	Tag
	Hold
	Defer
	Reject
)

var actionNames = [...]string{"ignore", "tag", "hold", "defer", "reject"}

func (a Action) String() string { return actionNames[a] }

// ParseAction reads an action.
func ParseAction(s string) (Action, error) {
	i := slices.Index(actionNames[:], strings.ToLower(s))
	if i < 0 {
		return 0, fmt.Errorf("%q is not one of %s", s, strings.Join(actionNames[:], ", "))
	}
	return Action(i), nil
}

// Policy says what follows from what was found. Each field is a parameter of that name with
// _action behind it; the name in front of it is its name in mailauth_policy_maps.
type Policy struct {
	SPFFail         Action // spf: spf_fail_action
	SPFTempError    Action // spf_temperror
	DMARCReject     Action // dmarc_reject
	DMARCQuarantine Action // dmarc_quarantine
	DMARCTempError  Action // dmarc_temperror
	NoAuthor        Action // no_author: dmarc_no_author_action
	Hosted          Action // hosted: hosted_author_action
	HostedTempError Action // hosted_temperror
}

// DefaultPolicy has the defaults of the parameters.
func DefaultPolicy() Policy {
	return Policy{
		SPFFail: Tag, SPFTempError: Tag, DMARCReject: Reject, DMARCQuarantine: Tag, DMARCTempError: Tag,
		NoAuthor: Reject, Hosted: Reject, HostedTempError: Defer,
	}
}

// Decision is what becomes of a message.
type Decision struct {
	Action  Action
	Refused *mail.Status // of Defer and Reject
	Why     string       // for the operator: the rule, and the evidence; "" when no rule had anything to say
}

// judge is one decision under way.
type judge struct {
	v      *Verifier
	f      *Findings
	policy Policy
	Decision
}

// Decide is the decision about a message.
func (v *Verifier) Decide(ctx context.Context, f *Findings) Decision {
	return v.decide(ctx, f, (*judge).hosted, (*judge).noAuthor, (*judge).dmarc, (*judge).spf)
}

// decide has rules decide.
func (v *Verifier) decide(ctx context.Context, f *Findings, rules ...func(*judge, context.Context)) Decision {
	j := &judge{v: v, f: f, policy: v.o.Policy}
	if err := v.override(ctx, f, &j.policy); err != nil {
		j.rule(Defer, nil, &mail.Status{Code: 451, Enhanced: mail.Code(4, 3, 5), Text: "Server configuration error"}, err.Error())
		return j.Decision
	}
	for _, rule := range rules {
		rule(j, ctx)
	}
	return j.Decision
}

// rule takes a ruling: forGood and later are the replies of Reject and Defer.
func (j *judge) rule(a Action, forGood, later *mail.Status, why string) {
	if a < j.Action || a == j.Action && j.Why != "" {
		return
	}
	j.Decision = Decision{Action: a, Why: why}
	switch a {
	case Reject:
		j.Refused = forGood
	case Defer:
		j.Refused = later
	}
	if a >= Defer && j.Refused == nil {
		j.Refused = refusalFor(a, "Message refused")
	}
}

// noAuthor is about mail without one author (RFC 9989 section 5.3.1): whoever showed it would
// have to choose whose it is.
func (j *judge) noAuthor(context.Context) {
	if j.f.NoAuthor == "" {
		return
	}
	text := "Message must have exactly one From field, with authors of one domain"
	j.rule(j.policy.NoAuthor, refusalFor(Reject, text), refusalFor(Defer, text), "no single author: "+j.f.NoAuthor)
}

// spf is about the reverse-path alone.
func (j *judge) spf(ctx context.Context) {
	r := &j.f.SPF
	domain := shown(pathDomain(&j.f.Request))
	switch r.Result {
	case mail.AuthFail:
		if known, err := j.knownForwarder(ctx); known || err != nil {
			return // the reverse-path is that of somebody else's mail
		}
		text := "SPF of " + domain + " does not let " + j.f.Request.Client.Addr.String() + " send for it"
		if r.Explanation != "" {
			text += ": " + clipped(r.Explanation, 200)
		}
		// RFC 7372 section 3.2.
		j.rule(j.policy.SPFFail, status(550, mail.Code(5, 7, 23), text), status(451, mail.Code(4, 7, 23), text), "SPF of "+domain+" fails")
	case mail.AuthTempError:
		text := "SPF of " + domain + " cannot be checked now"
		j.rule(j.policy.SPFTempError, status(550, mail.Code(5, 7, 24), text), status(451, mail.Code(4, 7, 24), text), text)
	}
}

func refusalFor(a Action, text string) *mail.Status {
	if a == Defer {
		return status(451, mail.Code(4, 7, 1), text)
	}
	return status(550, mail.Code(5, 7, 1), text)
}

func status(code int, enhanced mail.Enhanced, text string) *mail.Status {
	return &mail.Status{Code: code, Enhanced: enhanced, Text: text}
}

// shown is a name as a reply and the log may show it.
func shown(name string) string {
	if name == "" {
		return "unknown"
	}
	return clipped(name, 255)
}

// clipped is text of a stranger, of printable ASCII and bounded.
func clipped(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f {
			return '?'
		}
		return c
	}, s)
}
