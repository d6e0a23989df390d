package alias

import (
	"slices"
	"strings"

	"aliasmx/internal/mail"
)

// Rewriting to the complete form, as trivial-rewrite(8) does it in the local context
// (ADDRESS_REWRITING_README): for what clients name and for what tables say alike.

// Complete gives an address the form user@domain: a source route is dropped, site!user
// and user%domain become user@site and user@domain (swap_bangpath, allow_percent_hack),
// a bare name gets @$myorigin (append_at_myorigin), a domain without a dot gets
// .$mydomain (append_dot_mydomain), and one dot at the end of the domain goes. The null
// reverse-path stays null.
func (r *Resolver) Complete(a mail.Address) mail.Address {
	if a.IsNull() || r.isComplete(a) {
		return a
	}
	if whole := a.Internal(); whole[0] == '@' { // @relay.example:user, RFC 5321 appendix C
		if _, rest, ok := strings.Cut(whole, ":"); ok && rest != "" {
			a = splitInternal(rest)
		}
	}
	return toAddress(r.rewrite(scan(external(a))))
}

// isComplete recognises without a parser what rewriting would not change: nearly
// every address that is ever seen.
func (r *Resolver) isComplete(a mail.Address) bool {
	if a.Local == "" || a.Local[0] == '@' || a.Domain == "" || a.Domain[len(a.Domain)-1] == '.' {
		return false
	}
	dot := false
	for i := 0; i < len(a.Domain); i++ {
		switch c := a.Domain[i]; {
		case c == '.':
			dot = true
		case !isPlain(c):
			return false
		}
	}
	return dot || !r.o.AppendDotMyDomain
}

// isPlain tells the bytes that are never anything but part of an atom.
func isPlain(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c >= 0x80:
		return true
	}
	return strings.IndexByte("-_+=/#$&'*?^`{}~", c) >= 0
}

func (r *Resolver) rewrite(tokens []token) []token {
	if len(tokens) == 0 || len(tokens) == 1 && tokens[0].kind == quoted && tokens[0].text == "" {
		return tokens
	}
	if len(tokens) == 1 && tokens[0].is('@') {
		return nil
	}
	if tokens[0].is('@') {
		if colon := index(tokens, ':'); colon >= 0 && colon < len(tokens)-1 {
			tokens = tokens[colon+1:]
		}
	}
	if lastIndex(tokens, '@') < 0 {
		tokens = r.addDomain(tokens)
	}
	at := lastIndex(tokens, '@')
	if r.o.AppendDotMyDomain && r.o.MyDomain != "" && at >= 0 && at < len(tokens)-1 {
		isLiteral := func(t token) bool { return t.kind == literal }
		if domain := tokens[at+1:]; index(domain, '.') < 0 && !slices.ContainsFunc(domain, isLiteral) {
			tokens = append(slices.Clone(tokens), token{op: '.'})
			tokens = append(tokens, scan(r.o.MyDomain)...)
		}
	}
	// Two dots, or a dot after the @, are left for the diagnosis of bad syntax.
	if n := len(tokens); n > 1 && tokens[n-1].is('.') && !tokens[n-2].is('.') && !tokens[n-2].is('@') {
		tokens = tokens[:n-1]
	}
	return tokens
}

// addDomain gives a domain to an address that has none.
func (r *Resolver) addDomain(tokens []token) []token {
	at := token{op: '@'}
	if bang := index(tokens, '!'); r.o.SwapBangpath && bang >= 0 {
		swapped := append(slices.Clone(tokens[bang+1:]), at)
		return append(swapped, tokens[:bang]...)
	}
	if percent := lastIndex(tokens, '%'); r.o.AllowPercentHack && percent >= 0 {
		promoted := slices.Clone(tokens)
		promoted[percent] = at
		return promoted
	}
	if r.o.AppendAtMyOrigin {
		return append(append(slices.Clone(tokens), at), scan(r.o.MyOrigin)...)
	}
	return tokens
}

// targets reads a table's result: the addresses in it, completed, each with the
// extension. An empty result means that the value holds no address.
func (r *Resolver) targets(value, extension string) []mail.Address {
	if value == "<>" {
		value = `""`
	}
	if list, ok := r.plainTargets(value); ok {
		for i := range list {
			list[i] = extend(list[i], extension)
		}
		return list
	}
	parsed := parseList(value)
	list := make([]mail.Address, 0, len(parsed))
	for _, tokens := range parsed {
		list = append(list, extend(toAddress(r.rewrite(tokens)), extension))
	}
	return list
}

// plainTargets reads what nearly every result is: user@domain, with commas or
// whitespace between several. It gives up on anything that needs the parser.
func (r *Resolver) plainTargets(value string) ([]mail.Address, bool) {
	n := 1
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == ',' || isSpace(c):
			n++
		case c != '@' && c != '.' && !isPlain(c):
			return nil, false
		}
	}
	list := make([]mail.Address, 0, min(n, 64))
	for i := 0; i < len(value); {
		if value[i] == ',' || isSpace(value[i]) {
			i++
			continue
		}
		start := i
		for i < len(value) && value[i] != ',' && !isSpace(value[i]) {
			i++
		}
		a := mail.SplitAddress(value[start:i])
		// A dot at an end may belong to the next word; "user" and "user@" need completing.
		if !r.isComplete(a) || a.Local[0] == '.' || a.Domain[0] == '.' || strings.IndexByte(a.Local, '@') >= 0 {
			return nil, false
		}
		list = append(list, a)
	}
	return list, len(list) > 0
}

// extend puts an address extension at the end of the local part.
func extend(a mail.Address, extension string) mail.Address {
	if extension == "" {
		return a
	}
	if local, ok := strings.CutSuffix(a.Local, "@"); ok && a.Domain == "" {
		a.Local = local + extension + "@"
		return a
	}
	a.Local += extension
	return a
}
