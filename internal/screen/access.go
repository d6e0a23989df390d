package screen

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// The permanent list, postscreen_access_list: rules until one decides.

// Rule is one of them: a word, or a table that has more words for some clients.
type Rule struct {
	word  string
	table Table
}

type verdict uint8

const (
	dunno verdict = iota
	permit
	reject
	failed // nobody can say; as dunno, but the rest of the list is not read
)

// lookupTimeout is how long a table may take.
const lookupTimeout = 10 * time.Second

// ParseAccess reads postscreen_access_list. open opens a TYPE:NAME.
func ParseAccess(list []string, open func(spec string) (Table, error)) ([]Rule, error) {
	rules := make([]Rule, 0, len(list))
	for _, item := range list {
		r := Rule{word: strings.ToLower(item)}
		switch {
		case strings.Contains(item, ":"):
			t, err := open(item)
			if err != nil {
				return nil, err
			}
			r = Rule{table: t}
		case r.word != "permit_mynetworks" && r.word != "permit" && r.word != "reject" && r.word != "dunno":
			return nil, fmt.Errorf("%q is no rule; write permit_mynetworks, permit, reject, dunno or TYPE:NAME of a table", item)
		}
		rules = append(rules, r)
	}
	return rules, nil
}

// judge asks the rules about a client.
func (d *Door) judge(ctx context.Context, addr netip.Addr) verdict {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	for _, r := range d.o.Access {
		v, decided := dunno, false
		if r.table != nil {
			v = d.judgeTable(ctx, r.table, addr)
			decided = v != dunno
		} else {
			v, decided = d.judgeWord(ctx, r.word, addr, "")
		}
		if decided {
			return v
		}
	}
	return dunno
}

// judgeTable has a client's entry in a table decide. What is in it is words only: a table
// in a table is not allowed.
func (d *Door) judgeTable(ctx context.Context, t Table, addr netip.Addr) verdict {
	value, found, err := t.Lookup(ctx, addr.String())
	if err != nil {
		d.log.Warn(fmt.Sprintf("postscreen_access_list: %s: table lookup error -- ignoring the remainder of this access list", t.Name()))
		return failed
	}
	if !found {
		return dunno
	}
	for _, word := range strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }) {
		if strings.Contains(word, ":") {
			d.log.Warn(fmt.Sprintf("table %s: lookup result %q is not allowed -- ignoring remainder of access list", t.Name(), word))
			return dunno
		}
		if v, decided := d.judgeWord(ctx, strings.ToLower(word), addr, t.Name()); decided {
			return v
		}
	}
	return dunno
}

// judgeWord is what one word says; origin is the table that it comes from.
func (d *Door) judgeWord(ctx context.Context, word string, addr netip.Addr, origin string) (v verdict, decided bool) {
	switch word {
	case "permit":
		return permit, true
	case "reject":
		return reject, true
	case "dunno":
		return dunno, true
	case "permit_mynetworks":
		if d.o.MyNetworks == nil {
			return dunno, false
		}
		ok, err := d.o.MyNetworks.Match(ctx, "", addr)
		if err != nil {
			d.log.Warn("postscreen_access_list: permit_mynetworks: mynetworks lookup error -- ignoring the remainder of this access list")
			return failed, true
		}
		return permit, ok
	}
	d.log.Warn(fmt.Sprintf("%s: unknown command: %s -- ignoring the remainder of this access list", origin, printable(word)))
	return failed, true
}
