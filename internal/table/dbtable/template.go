package dbtable

import (
	"fmt"
	"strings"
)

// Templates is what all templates of one table ask of a key: query, search_base and
// result_format are judged together, as db_common(3) does. A key that lacks what one of
// them needs is not looked up.
type Templates struct {
	keyUser, keyDomain     bool
	valueUser, valueDomain bool
	labels                 int // the highest of %1 ... %9
}

// Template is a text with verbs. Its pieces are text, or one verb each.
type Template struct {
	pieces []piece
	// Dynamic tells whether there is a verb at all.
	Dynamic bool
}

// piece is text when verb is 0.
type piece struct {
	text string
	verb byte // s u d S U D 1 ... 9
}

// Query reads a template that is filled with a key. In one, %S %U %D are %s %u %d.
func (ts *Templates) Query(text string) (Template, error) { return ts.parse(text, true) }

// Result reads a template that is filled with a value (%s %u %d) and its key.
func (ts *Templates) Result(text string) (Template, error) { return ts.parse(text, false) }

func (ts *Templates) parse(text string, query bool) (t Template, err error) {
	literal := ""
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			literal += text[i : i+1]
			continue
		}
		i++
		switch {
		case i < len(text) && text[i] == '%':
			literal += "%"
			continue
		case i == len(text) || !ts.need(text[i], query):
			return Template{}, fmt.Errorf("invalid template: %q is none of %%%% %%s %%u %%d %%S %%U %%D %%1 ... %%9", text[i-1:min(i+1, len(text))])
		}
		if literal != "" {
			t.pieces = append(t.pieces, piece{text: literal})
			literal = ""
		}
		t.pieces = append(t.pieces, piece{verb: text[i]})
		t.Dynamic = true
	}
	if literal != "" {
		t.pieces = append(t.pieces, piece{text: literal})
	}
	return t, nil
}

// need notes what a verb asks for; false when there is no such verb.
func (ts *Templates) need(verb byte, query bool) bool {
	switch {
	case verb == 's', verb == 'S':
	case verb == 'u' && !query:
		ts.valueUser = true
	case verb == 'd' && !query:
		ts.valueDomain = true
	case verb == 'u', verb == 'U':
		ts.keyUser = true
	case verb == 'd', verb == 'D':
		ts.keyDomain = true
	case '1' <= verb && verb <= '9':
		ts.keyDomain = true
		ts.labels = max(ts.labels, int(verb-'0'))
	default:
		return false
	}
	return true
}

// Key is a key with its parts, as far as the templates need them.
type Key struct {
	whole, user, domain string
	labels              []string // of the domain, the last one first
}

// split takes an address apart at its last @. Without one all of it is the user.
func split(address string) (user, domain string, hasDomain bool) {
	i := strings.LastIndexByte(address, '@')
	if i < 0 {
		return address, "", false
	}
	return address[:i], address[i+1:], true
}

// lacks tells whether an address has not what is asked of it: a domain for %d, a local
// part, if there is an @, for %u.
func lacks(address string, needUser, needDomain bool) bool {
	user, domain, has := split(address)
	return needDomain && domain == "" || needUser && has && user == ""
}

// Key takes a key apart; false for one that is not to be looked up.
func (ts *Templates) Key(key string) (Key, bool) {
	if key == "" || lacks(key, ts.keyUser, ts.keyDomain) {
		return Key{}, false
	}
	k := Key{whole: key}
	k.user, k.domain, _ = split(key)
	if ts.labels > 0 {
		for label := range strings.SplitSeq(k.domain, ".") {
			if label != "" {
				k.labels = append([]string{label}, k.labels...)
			}
		}
		if len(k.labels) < ts.labels {
			return Key{}, false
		}
	}
	return k, true
}

// part is what a verb stands for when the key itself is meant.
func (k Key) part(verb byte) string {
	switch verb {
	case 'u', 'U':
		return k.user
	case 'd', 'D':
		return k.domain
	case 's', 'S':
		return k.whole
	}
	return k.labels[verb-'1']
}

// Query fills the template with a key. The quote function protects each value in the
// language of the query.
func (t Template) Query(k Key, quote func(string) string) string {
	var b strings.Builder
	for _, p := range t.pieces {
		if p.verb == 0 {
			b.WriteString(p.text)
		} else {
			b.WriteString(quote(k.part(p.verb)))
		}
	}
	return b.String()
}

func verbatim(s string) string { return s }

// result fills a result template of these templates; false for a value that is not to
// be in the result, since it lacks what the template asks for.
func (ts *Templates) result(t Template, value string, k Key) (string, bool) {
	if lacks(value, ts.valueUser, ts.valueDomain) {
		return "", false
	}
	user, domain, _ := split(value)
	var b strings.Builder
	for _, p := range t.pieces {
		switch p.verb {
		case 0:
			b.WriteString(p.text)
		case 's':
			b.WriteString(value)
		case 'u':
			b.WriteString(user)
		case 'd':
			b.WriteString(domain)
		default:
			b.WriteString(k.part(p.verb))
		}
	}
	return b.String(), true
}
