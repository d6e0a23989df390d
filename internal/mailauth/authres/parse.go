package authres

import (
	"errors"
	"fmt"
	"strings"

	"aliasmx/internal/mail"
)

// Bounds of what Parse reads: a field is written by a stranger.
const (
	maxField      = 100 << 10
	maxMethods    = 100
	maxProperties = 100
	maxDepth      = 100 // of comments
)

var errTooMuch = errors.New("the field is longer, or has more results, than anybody needs")

// Parse reads the value of a field: what stands behind its colon, folded or not. It follows
// the ABNF of RFC 8601 section 2.2, and takes two things beside it that are common: a ";" at
// the end, and values and reasons that should be in quotes and are not. The Comment of a
// method is the first in it. A method of another version than 1 is left out, as section 2.6
// asks. "none" gives no methods and no error.
func Parse(value []byte) (authservID string, methods []Method, err error) {
	if len(value) > maxField {
		return "", nil, errTooMuch
	}
	p := parser{s: string(value)}
	if authservID, err = p.id(); err != nil {
		return "", nil, err
	}
	if p.end() {
		return "", nil, errors.New("there is no result behind the name")
	}
	for first := true; ; first = false {
		if err := p.need(';'); err != nil {
			return "", nil, err
		}
		p.cfws()
		if p.end() && !first {
			break
		}
		m, known, err := p.method(first)
		if err != nil {
			return "", nil, err
		}
		if m.Name == "" { // none
			return authservID, nil, nil
		}
		if known {
			methods = append(methods, m)
		}
		if len(methods) > maxMethods {
			return "", nil, errTooMuch
		}
		if p.end() {
			break
		}
	}
	return authservID, methods, nil
}

// method reads a resinfo from its name on. known is whether its version is ours.
func (p *parser) method(mayBeNone bool) (m Method, known bool, err error) {
	m.Name, known = p.keyword(), true
	p.cfws()
	if m.Name == "" {
		return m, false, p.fault("the name of a method")
	}
	if mayBeNone && strings.EqualFold(m.Name, "none") && p.end() {
		return Method{}, false, nil
	}
	if p.take('/') {
		p.cfws()
		version := p.digits()
		if version == "" {
			return m, false, p.fault("the version of a method")
		}
		known = isOne(version)
		p.cfws()
	}
	if err := p.need('='); err != nil {
		return m, false, err
	}
	p.cfws()
	result := p.keyword()
	if result == "" {
		return m, false, p.fault("a result")
	}
	m.Result = mail.AuthResult(strings.ToLower(result))
	p.comment = ""
	p.cfws()
	for !p.end() && p.s[p.i] != ';' {
		if err := p.property(&m); err != nil {
			return m, false, err
		}
		p.cfws()
	}
	m.Comment = p.comment
	return m, known, p.err
}

// property reads a propspec, or the reason.
func (p *parser) property(m *Method) error {
	ptype := p.keyword()
	p.cfws()
	if ptype == "" {
		return p.fault("a property")
	}
	if strings.EqualFold(ptype, "reason") && p.take('=') {
		p.cfws()
		reason, ok := p.pvalue()
		if !ok || m.Reason != "" || len(m.Properties) > 0 {
			return p.fault("a reason")
		}
		m.Reason = reason
		return nil
	}
	if err := p.need('.'); err != nil {
		return err
	}
	p.cfws()
	name := p.keyword()
	p.cfws()
	if name == "" {
		return p.fault("the name of a property")
	}
	if err := p.need('='); err != nil {
		return err
	}
	p.cfws()
	value, ok := p.pvalue()
	if !ok {
		return p.fault("the value of a property")
	}
	if m.Properties = append(m.Properties, Property{Type: ptype, Name: name, Value: value}); len(m.Properties) > maxProperties {
		return errTooMuch
	}
	return nil
}

// isOne tells whether a version is 1, which is the only one there is.
func isOne(version string) bool { return strings.TrimLeft(version, "0") == "1" }

// id reads the authserv-id and the version behind it.
func (p *parser) id() (string, error) {
	p.cfws()
	id, ok := p.value()
	if !ok {
		return "", p.fault("the name of who says so")
	}
	spaced := p.cfws()
	if !p.end() && p.s[p.i] != ';' {
		if version := p.digits(); !spaced || version == "" {
			return "", p.fault(`";"`)
		} else if !isOne(version) {
			return "", fmt.Errorf("version %s of the field is not known", version[:min(len(version), 20)])
		}
		p.cfws()
	}
	return id, p.err
}
