package alias

import (
	"slices"
	"strings"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

// Where an entry leads, judged as at RCPT.

// teller takes a finding about the entry at hand.
type teller func(kind Kind, format string, args ...any) bool

// expansion proves where an address leads that the entry decides about.
func (p *prover) expansion(t table.Table, a mail.Address, value string, tell teller) bool {
	x, err := p.brief.expand(p.ctx, a, nil)
	if err != nil {
		if !p.goOn(t.Name()) {
			return false
		}
		if circle := p.circle(a); circle != nil {
			return tell(Loop, "leads round in a circle: %s; mail to it is deferred (451 4.6.0)", strings.Join(circle, " -> "))
		}
		tr := &trace{}
		if x, err = p.r.expand(p.ctx, a, tr); err != nil {
			return p.goOn(t.Name()) && p.stuck(a, value, mail.StatusOf(err), tr, tell)
		}
	}
	return p.targets(a, value, x, tell)
}

// stuck tells why an expansion does not come to its end. The last note says it.
func (p *prover) stuck(a mail.Address, value string, refusal *mail.Status, tr *trace, tell teller) bool {
	why := refusal.Text
	if n := len(tr.steps); n > 0 {
		why = tr.steps[n-1]
	}
	_, extension := p.r.splitExtension(a.Local)
	switch {
	case refusal.Enhanced == mail.Code(4, 6, 0):
		// Whether it is a circle has been found out.
		why, _, _ = strings.Cut(why, "; do the aliases")
		return tell(OverLimit, "%s; mail to it is deferred (451 4.6.0)", why)
	case !strings.HasPrefix(value, "@") && len(p.r.targets(value, extension)) == 0:
		return tell(NoAddress, "%q holds no address; mail to it is deferred (451 4.3.0)", clipped(value))
	}
	return tell(Unproven, "mail to it is deferred (451 4.3.0): %s", why)
}

// targets judges what an expansion ends with.
func (p *prover) targets(a mail.Address, value string, x expansion, tell teller) bool {
	// For each user of a domain another entry decides in @otherdomain. Those without one
	// are refused, and rightly.
	mirror := strings.HasPrefix(value, "@")
	type broken struct {
		addr mail.Address
		why  string
	}
	var dead []broken
	alive := false
	var told map[string]bool // targets that were looked at
	if len(x.targets) > 1 {
		told = make(map[string]bool, len(x.targets))
	}
	for _, target := range x.targets {
		if told != nil {
			name := p.r.folded(target)
			if told[name] {
				continue
			}
			told[name] = true
		}
		rt, err := p.r.resolve(p.ctx, mail.Address{}, target)
		if err != nil {
			return p.goOn("virtual_alias_maps") && tell(Unproven, "%s: a table or list could not be asked", target)
		}
		if rt.malformed {
			if !tell(BadTarget, "target %s is no address that mail can be sent to; mail to it is returned (5.1.3)", clipped(external(target))) {
				return false
			}
			continue
		}
		// As if nobody had led there: then the text says which table lacks it.
		refusal, err := p.r.refusal(p.ctx, expansion{}, rt)
		switch {
		case err != nil:
			return p.goOn("virtual_alias_maps") && tell(Unproven, "%s: a table could not be asked", target)
		case refusal == nil:
			alive = true
		default:
			dead = append(dead, broken{rt.final, strings.TrimPrefix(refusal.Text, "Recipient address rejected: ")})
		}
	}
	if len(dead) == 0 {
		return true
	}
	if alive {
		for _, d := range dead {
			if !tell(BrokenTarget, "target %s leads nowhere: %s; mail to it is returned to the sender", d.addr, d.why) {
				return false
			}
		}
		return true
	}
	switch d := dead[0]; {
	case len(dead) == 1 && equalFold(d.addr, a):
		return tell(SelfAlias, "leads to itself, and there is nobody: %s; mail to it is refused", d.why)
	case mirror:
		return true
	case len(dead) == 1:
		return tell(DeadEnd, "leads nowhere: %s: %s; mail to it is refused", d.addr, d.why)
	default:
		return tell(DeadEnd, "leads nowhere: %s: %s; the same with %s more; mail to it is refused", d.addr, d.why, counted(len(dead)-1, "target"))
	}
}

// clipped is a text that may be of any length, cut to what is worth reading.
func clipped(s string) string {
	const enough = 200
	if len(s) <= enough {
		return s
	}
	return strings.ToValidUTF8(s[:enough], "") + "..."
}

// circle looks for a way from an address back to one on the way, and names its stations
// from the first to the same again. Any circle brings expansion to a limit, but for one
// through an address that leads to itself: that is expanded once only. So no way goes
// through such an address; what it leads to begins new ways. nil when there is no circle
// within reach.
func (p *prover) circle(a mail.Address) []string {
	const reach = 2000             // addresses
	state := make(map[string]bool) // true while on the way, false when done with
	var way []mail.Address
	begins := []mail.Address{a}
	var visit func(at mail.Address) []string
	visit = func(at mail.Address) []string {
		name := p.r.folded(at)
		if onWay, known := state[name]; onWay {
			return stations(way, at)
		} else if known || len(state) >= reach || p.ctx.Err() != nil {
			return nil
		}
		state[name] = false
		h, found, err := p.r.find(p.ctx, p.r.aliases, at)
		if err != nil || !found {
			return nil
		}
		results, err := p.r.results(at, h, nil)
		if err != nil {
			return nil
		}
		if slices.ContainsFunc(results, func(b mail.Address) bool { return p.r.same(at, b) }) {
			begins = append(begins, results...)
			return nil
		}
		state[name] = true
		way = append(way, at)
		for _, b := range results {
			if found := visit(b); found != nil {
				return found
			}
		}
		way = way[:len(way)-1]
		state[name] = false
		return nil
	}
	for i := 0; i < len(begins); i++ {
		if found := visit(begins[i]); found != nil {
			return found
		}
	}
	return nil
}

// stations names what lies between an address on the way and its coming again.
func stations(way []mail.Address, again mail.Address) []string {
	const enough = 8
	from := 0
	for i, b := range way {
		if equalFold(b, again) {
			from = i
		}
	}
	var names []string
	for i, b := range way[from:] {
		if i == enough {
			names = append(names, "...")
			break
		}
		names = append(names, external(b))
	}
	return append(names, external(again))
}
