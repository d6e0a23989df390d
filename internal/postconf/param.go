package postconf

import (
	"slices"
	"strings"
)

// Kind is how a parameter stands to Postfix's.
type Kind uint8

const (
	Postfix     Kind = iota // Postfix's, and means the same here
	Ours                    // Postfix does not have it
	Plumbing                // Postfix's; concerns its own processes and files: accepted in silence
	Unsupported             // Postfix's; has no effect here, and using it is a warning
)

func (k Kind) String() string {
	switch k {
	case Ours:
		return "ours"
	case Plumbing:
		return "plumbing"
	case Unsupported:
		return "unsupported"
	}
	return "postfix"
}

// Param is a parameter: an entry of the one table that holds them all.
type Param struct {
	Name    string
	Type    Type
	Default string // as in main.cf: may refer to other parameters
	Doc     string // what it means, in one line; empty if Unsupported
	Kind    Kind

	// PostfixDefault and Why are set where our default differs on purpose.
	PostfixDefault string
	Why            string
}

// entry is a Param as the table's parts write it down.
type entry struct {
	name string
	typ  Type
	def  string
	doc  string
}

// plain is a parameter that we do not have: only its default matters, for whoever
// refers to it.
type plain struct{ name, def string }

// Params lists every parameter that has an effect or is accepted in silence, by name.
func Params() []Param {
	var all []Param
	for _, p := range newParams() {
		if p.Kind != Unsupported {
			all = append(all, *p)
		}
	}
	slices.SortFunc(all, func(a, b Param) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// params is the table with its parts joined, by name.
type params map[string]*Param

func newParams() params {
	t := make(params, 1000)
	for _, part := range [][]entry{
		paramsHost, paramsAlias, paramsLocal, paramsRewrite, paramsRoute, paramsSMTPD, paramsLimits, paramsRestrictions, paramsAccess,
		paramsMessage, paramsChecks, paramsQueue, paramsBounce, paramsSMTP, paramsVerify, paramsMilter, paramsScreen, paramsSASL, paramsTLS, paramsLog,
		paramsSASLOut, paramsSession, paramsLMTP, paramsDANE,
		paramsTLSOut,
	} {
		t.add(part, Postfix)
	}
	t.add(paramsOurs, Ours)
	t.add(paramsShaping, Ours)
	t.add(paramsConnected, Ours)
	t.add(paramsSTSHost, Ours)
	t.add(paramsReputation, Ours)
	t.add(paramsSRS, Ours)
	t.add(paramsDKIM, Ours)
	t.add(paramsAliasLife, Ours)
	t.add(paramsMailAuth, Ours)
	t.add(paramsARC, Ours)
	t.add(paramsPlumbing, Plumbing)
	t.add(paramsCiphers, Plumbing)
	for _, part := range [][]plain{
		unsupportedSMTPD, unsupportedSMTP, unsupportedLMTP, unsupportedTLS,
		unsupportedScreen, unsupportedOther,
	} {
		for _, p := range part {
			t[p.name] = &Param{Name: p.name, Default: p.def, Kind: Unsupported}
		}
	}
	for _, d := range differences {
		if p := t[d.name]; p != nil {
			p.PostfixDefault, p.Why = d.postfix, d.why
		}
	}
	return t
}

func (t params) add(part []entry, kind Kind) {
	block := make([]Param, len(part))
	for i, e := range part {
		block[i] = Param{Name: e.name, Type: e.typ, Default: e.def, Doc: e.doc, Kind: kind}
		t[e.name] = &block[i]
	}
}

// transportSuffixes are the ends of the parameters that each delivery transport of
// master.cf has for itself, with their defaults: postconf(5), transport_.... Those
// without a meaning are unsupported.
var transportSuffixes = []entry{
	{"_delivery_slot_cost", text(), "$default_delivery_slot_cost", ""},
	{"_delivery_slot_discount", text(), "$default_delivery_slot_discount", ""},
	{"_delivery_slot_loan", text(), "$default_delivery_slot_loan", ""},
	{"_destination_concurrency_failed_cohort_limit", number(0, 0), "$default_destination_concurrency_failed_cohort_limit", "rounds of failures before a site is dead; 0: never"},
	{"_destination_concurrency_limit", number(0, 0), "$default_destination_concurrency_limit", "connections to a site at a time; 0: no limit"},
	{"_destination_concurrency_negative_feedback", formOf(formFeedback), "$default_destination_concurrency_negative_feedback", "how a failure narrows the concurrency"},
	{"_destination_concurrency_positive_feedback", formOf(formFeedback), "$default_destination_concurrency_positive_feedback", "how a success widens the concurrency"},
	{"_destination_rate_delay", seconds(0, 0), "$default_destination_rate_delay", "pause between deliveries to a site, which then gets one connection"},
	{"_destination_recipient_limit", number(0, 0), "$default_destination_recipient_limit", "recipients of one delivery; 0: no limit"},
	{"_extra_recipient_limit", text(), "$default_extra_recipient_limit", ""},
	{"_initial_destination_concurrency", number(1, 0), "$initial_destination_concurrency", "connections to a site to begin with"},
	{"_minimum_delivery_slots", text(), "$default_minimum_delivery_slots", ""},
	{"_recipient_limit", text(), "$default_recipient_limit", ""},
	{"_recipient_refill_delay", text(), "$default_recipient_refill_delay", ""},
	{"_recipient_refill_limit", text(), "$default_recipient_refill_limit", ""},
	{"_time_limit", text(), "$command_time_limit", ""},
	{"_transport_rate_delay", seconds(0, 0), "$default_transport_rate_delay", "pause between deliveries of the transport, which then makes one at a time"},
}

// ofTransport is the parameter that a transport has under a name such as
// maildrop_destination_recipient_limit, nil if the name is not of that form.
func ofTransport(name string, transports []string) *Param {
	for _, t := range transports {
		suffix, ok := strings.CutPrefix(name, t)
		if !ok {
			continue
		}
		for _, s := range transportSuffixes {
			if s.name == suffix {
				return &Param{Name: name, Type: s.typ, Default: s.def, Doc: s.doc, Kind: Unsupported}
			}
		}
	}
	return nil
}
