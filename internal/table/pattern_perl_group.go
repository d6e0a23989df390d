package table

import "strings"

// What begins with a parenthesis.

func (p *perlParser) group() (*node, error) {
	p.i++
	if p.next() == '*' {
		return nil, p.unsupported("(*VERB)")
	}
	if !p.take("?") {
		return p.capture("")
	}
	start := p.i
	switch {
	case p.take(":"):
		return p.inside(nil)
	case p.take(">"):
		return p.inside(&node{kind: nodeAtomic})
	case p.take("="):
		return p.inside(&node{kind: nodeLook})
	case p.take("!"):
		return p.inside(&node{kind: nodeLook, negative: true})
	case p.take("<="):
		return p.inside(&node{kind: nodeLook, behind: true})
	case p.take("<!"):
		return p.inside(&node{kind: nodeLook, behind: true, negative: true})
	case p.take("P="):
		return p.namedRef(")")
	case p.take("P<"), p.take("<"):
		return p.namedCapture(">")
	case p.take("'"):
		return p.namedCapture("'")
	case strings.IndexByte("imsxnUJ^-", p.next()) >= 0 && p.more():
		return p.option()
	}
	p.i = start
	return nil, p.unsupported("a group of this kind")
}

// inside reads the rest of a group into a node; nil is a group that only groups.
func (p *perlParser) inside(into *node) (*node, error) {
	t, err := p.alternatives()
	if err != nil {
		return nil, err
	}
	if !p.take(")") {
		return nil, p.fail("missing closing parenthesis")
	}
	if into == nil {
		return t, nil
	}
	into.subs = []*node{t}
	return into, nil
}

func (p *perlParser) capture(name string) (*node, error) {
	p.groups++
	n := p.groups
	if name != "" {
		if _, dup := p.names[name]; dup {
			return nil, p.fail("two named subpatterns have the same name (PCRE2_DUPNAMES not set)")
		}
		p.names[name] = n
	}
	return p.inside(&node{kind: nodeCapture, n: n})
}

func (p *perlParser) namedCapture(end string) (*node, error) {
	name, err := p.name(end)
	if err != nil {
		return nil, err
	}
	return p.capture(name)
}

// name reads the name of a group and the mark behind it.
func (p *perlParser) name(end string) (string, error) {
	start := p.i
	for p.more() && (isAlnum(p.next()) || p.next() == '_') {
		p.i++
	}
	name := p.s[start:p.i]
	if name == "" || '0' <= name[0] && name[0] <= '9' {
		return "", p.fail("subpattern name expected")
	}
	if !p.take(end) {
		return "", p.fail("syntax error in subpattern name (missing terminator?)")
	}
	return name, nil
}

func (p *perlParser) namedRef(end string) (*node, error) {
	name, err := p.name(end)
	if err != nil {
		return nil, err
	}
	return p.reference(0, name), nil
}

func (p *perlParser) reference(n int, name string) *node {
	t := &node{kind: nodeBackref, n: n, foldCase: p.foldCase}
	p.refs = append(p.refs, perlRef{t, name, p.i})
	return t
}

// option reads (?i), which holds to the end of the group around it, or (?i:...).
func (p *perlParser) option() (*node, error) {
	outer := p.perlFlags
	on := true
	for ; p.more(); p.i++ {
		switch p.next() {
		case '^':
			p.foldCase, p.multiline, p.dotAll, p.spaces = false, false, false, false
		case '-':
			on = false
		case 'i':
			p.foldCase = on
		case 'm':
			p.multiline = on
		case 's':
			p.dotAll = on
		case 'x':
			p.spaces = on
		case 'U':
			p.ungreedy = on
		case ')':
			p.i++
			return nil, nil
		case ':':
			p.i++
			t, err := p.inside(nil)
			p.perlFlags = outer
			return t, err
		default:
			return nil, p.unsupported("this option")
		}
	}
	return nil, p.fail("missing closing parenthesis")
}
