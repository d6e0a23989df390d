package smtpd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Restriction is one element of smtpd_*_restrictions with what belongs to it: a table,
// a list in the DNS, a class.
type Restriction struct {
	rule  *rule
	arg   string // as written, "" where it has none
	table Table
	whole bool // the table is asked for whole keys only
	list  DNSList
	asked Policy
	class []Restriction // of a restriction class
	pause time.Duration
}

// String is the restriction by Postfix's name of today, with its argument.
func (r Restriction) String() string {
	if r.arg == "" {
		return r.rule.name
	}
	return r.rule.name + " " + r.arg
}

// outcome is what a restriction says.
type outcome uint8

const (
	dunno   outcome = iota // the next one is asked
	permits                // the list is done
	refuses                // judgement.refused has the reply
)

// argument is what stands behind the name of a restriction.
type argument uint8

const (
	none argument = iota
	aTable
	aList   // domain[=answers]
	aPolicy // inet:host:port, unix:path, {...}
	aNumber
)

// rule is a restriction that there is.
type rule struct {
	name     string
	argument argument
	apply    func(*session, context.Context, *Restriction) outcome
	needs    need
}

// need is a room that a restriction cannot do without.
type need uint8

const (
	nothing need = iota
	needsDNS
	needsVerifier
	needsGreylist
)

// Language is what the words in restriction lists mean. Its zero value has the
// restrictions that need nothing; it does not change once a list was parsed.
type Language struct {
	// OpenTable opens TYPE:NAME. whole is set for tables that are asked for whole keys
	// only: those of patterns, of which a part might match by accident.
	OpenTable  func(spec string) (t Table, whole bool, err error)
	OpenList   func(spec string) (DNSList, error)
	OpenPolicy func(spec string) (Policy, error)
	DNS        bool // Options.Resolver is there
	Verify     bool // Options.Verifier is there
	Greylist   bool // Options.Greylist is there

	// Classes are smtpd_restriction_classes with their elements.
	Classes map[string][]string

	rules  map[string]*rule
	parsed map[string][]Restriction // classes
}

// ParseRestrictions reads the elements of a list that needs no rooms.
func ParseRestrictions(names []string) ([]Restriction, error) { return new(Language).Parse(names) }

// Parse reads the elements of a restriction list. One that we do not have, or that
// cannot be opened, is an error: leaving it out would let in what it was meant to keep
// out.
func (l *Language) Parse(names []string) ([]Restriction, error) {
	if l.rules == nil {
		l.rules = builtin()
		l.parsed = make(map[string][]Restriction)
	}
	return l.parse(names, nil)
}

// CheckClasses parses every class, also those that only tables name.
func (l *Language) CheckClasses() error {
	if _, err := l.Parse(nil); err != nil {
		return err
	}
	for name := range l.Classes {
		if _, err := l.parseClass(name, nil); err != nil {
			return err
		}
	}
	return nil
}

// parse is Parse inside the classes named by within.
func (l *Language) parse(names []string, within []string) ([]Restriction, error) {
	var list []Restriction
	for i := 0; i < len(names); i++ {
		name := names[i]
		rule := l.rules[strings.ToLower(name)]
		switch {
		case rule == nil && strings.Contains(name, ":"):
			// A table alone is asked for the subject of the list.
			r := Restriction{rule: l.rules[bareTable], arg: name}
			if err := l.open(&r); err != nil {
				return nil, err
			}
			list = append(list, r)
			continue
		case rule == nil && l.Classes[name] != nil:
			class, err := l.parseClass(name, within)
			if err != nil {
				return nil, err
			}
			list = append(list, Restriction{rule: l.rules[aClass], arg: name, class: class})
			continue
		case rule == nil:
			return nil, l.unknown(name)
		}
		r := Restriction{rule: rule}
		if rule.argument != none {
			if i++; i == len(names) {
				return nil, fmt.Errorf("restriction %s needs %s behind it", rule.name, wanted(rule.argument))
			}
			r.arg = names[i]
		}
		if err := l.open(&r); err != nil {
			return nil, fmt.Errorf("restriction %s: %w", rule.name, err)
		}
		list = append(list, r)
	}
	return list, nil
}

func (l *Language) parseClass(name string, within []string) ([]Restriction, error) {
	if list, ok := l.parsed[name]; ok {
		return list, nil
	}
	if slices.Contains(within, name) {
		return nil, fmt.Errorf("restriction class %s leads back to itself: %s", name, strings.Join(append(within, name), ", "))
	}
	list, err := l.parse(l.Classes[name], append(slices.Clip(within), name))
	if err != nil {
		return nil, fmt.Errorf("restriction class %s: %w", name, err)
	}
	l.parsed[name] = list
	return list, nil
}

// open fills in what a restriction's argument stands for.
func (l *Language) open(r *Restriction) (err error) {
	if r.rule.needs == needsDNS && !l.DNS || r.rule.needs == needsVerifier && !l.Verify || r.rule.needs == needsGreylist && !l.Greylist {
		return errors.New("it is not available here")
	}
	switch r.rule.argument {
	case aTable:
		if !strings.Contains(r.arg, ":") {
			return fmt.Errorf("bad argument %q: need maptype:mapname", r.arg)
		}
		if l.OpenTable == nil {
			return fmt.Errorf("%s: no tables can be opened here", r.arg)
		}
		r.table, r.whole, err = l.OpenTable(r.arg)
	case aList:
		if l.OpenList == nil {
			return fmt.Errorf("%s: no lists can be asked here", r.arg)
		}
		r.list, err = l.OpenList(r.arg)
	case aPolicy:
		if !strings.Contains(r.arg, ":") {
			return fmt.Errorf("bad argument %q: need transport:server", r.arg)
		}
		if l.OpenPolicy == nil {
			return fmt.Errorf("%s: no servers can be asked here", r.arg)
		}
		r.asked, err = l.OpenPolicy(r.arg)
	case aNumber:
		seconds, bad := strconv.ParseUint(r.arg, 10, 16)
		if bad != nil {
			return fmt.Errorf("bad argument %q: need a number of seconds", r.arg)
		}
		r.pause = time.Duration(seconds) * time.Second
	}
	return err
}

func wanted(a argument) string {
	switch a {
	case aTable:
		return "TYPE:TABLE"
	case aList:
		return "a domain name"
	case aPolicy:
		return "transport:server"
	}
	return "a number"
}

// unknown says what is wrong with a word that is no restriction.
func (l *Language) unknown(name string) error {
	if why := withdrawn()[strings.ToLower(name)]; why != "" {
		return fmt.Errorf("restriction %q: %s", name, why)
	}
	const alike = 8
	var known []string
	for word, rule := range l.rules {
		if len(name) >= alike && word == rule.name && strings.HasPrefix(word, strings.ToLower(name[:alike])) {
			known = append(known, word)
		}
	}
	if len(known) == 0 {
		return fmt.Errorf("unknown restriction %q; postconf(5) has those that there are, smtpd_restriction_classes those of your own", name)
	}
	slices.Sort(known)
	return fmt.Errorf("unknown restriction %q; there are: %s", name, strings.Join(known, " "))
}

// Permits tells whether a list, or a class in it, has a restriction of that name.
func Permits(list []Restriction, name string) bool {
	return slices.ContainsFunc(list, func(r Restriction) bool { return r.rule.name == name || Permits(r.class, name) })
}

// GuardsRelay tells whether a list can refuse a recipient that is none of ours. One of
// smtpd_relay_restrictions and smtpd_recipient_restrictions has to; smtpd(8) does not
// start otherwise, and a Server adds defer_unauth_destination.
func GuardsRelay(list []Restriction) bool {
	for i := 0; i < len(list); i++ {
		r := &list[i]
		switch r.rule.name {
		case "warn_if_reject":
			i++ // what follows it refuses nobody
		case "reject", "defer", "reject_unauth_destination", "defer_unauth_destination", "defer_if_permit":
			return true
		case "permit":
			return false // nobody gets further
		case aClass:
			if GuardsRelay(r.class) {
				return true
			}
		}
	}
	return false
}
