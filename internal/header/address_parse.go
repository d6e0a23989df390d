package header

import (
	"slices"
	"strings"
)

// parse finds the addresses in a field's value. Its result has the tokens in their
// order, those of an address together in one tokAddress. It forgives as much as
// tok822_parse does: a comma that is missing is put in, and what nobody understands is
// left where it stands.
//
// It reads from right to left, as what stands before an address can be told from it
// only when the address is known.
func parse(value string, limit int) []token {
	p := parser{tokens: scan(value, limit)}
	p.run()
	slices.Reverse(p.out)
	return p.out
}

type parser struct {
	tokens  []token
	out     []token // last first
	pending []token // of the address under way, last first
}

func (p *parser) run() {
	inGroup, wordMayCome := false, true
	for i := len(p.tokens) - 1; i >= 0; {
		t := p.tokens[i]
		switch {
		case t.kind == tokComment: // goes to the right of the address
			p.out = append(p.out, t)
		case t.kind != tokOperator:
			if !wordMayCome {
				p.endAddress(true)
			}
			wordMayCome = false
			p.pending = append(p.pending, t)
		case t.op == ';':
			p.endAddress(true)
			p.out = append(p.out, t)
			inGroup, wordMayCome = true, true
		case t.op == ':' && inGroup:
			p.endAddress(false)
			p.out = append(p.out, token{kind: tokGroup})
			i = p.leave(i-1, ",")
			continue
		case t.op == '>':
			p.endAddress(true)
			p.out = append(p.out, t)
			i = p.route(i - 1)
			p.endAddress(false)
			i = p.leave(i, ">;,:")
			wordMayCome = true
			continue
		case t.op == ',':
			p.endAddress(false)
			p.out = append(p.out, t)
			wordMayCome = true
		default:
			wordMayCome = true
			p.pending = append(p.pending, t)
		}
		i--
	}
	p.endAddress(false)
}

// endAddress makes an address of what is pending, with a comma before it that was
// missing.
func (p *parser) endAddress(comma bool) {
	if len(p.pending) == 0 {
		return
	}
	address := slices.Clone(p.pending)
	slices.Reverse(address)
	p.pending = p.pending[:0]
	p.out = append(p.out, token{kind: tokAddress, address: address})
	if comma {
		p.out = append(p.out, token{op: ','})
	}
}

// route reads to the left as far as "<": what is between angle brackets is one
// address, whatever it looks like.
func (p *parser) route(i int) int {
	for ; i >= 0 && !p.tokens[i].is('<'); i-- {
		if t := p.tokens[i]; t.kind == tokComment {
			p.out = append(p.out, t)
		} else {
			p.pending = append(p.pending, t)
		}
	}
	return i
}

// leave passes over tokens that belong to no address, to the left as far as one of the
// operators in end.
func (p *parser) leave(i int, end string) int {
	for ; i >= 0; i-- {
		t := p.tokens[i]
		if t.kind == tokOperator && strings.IndexByte(end, t.op) >= 0 {
			break
		}
		p.out = append(p.out, t)
	}
	return i
}
