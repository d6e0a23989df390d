package arc

import "strings"

// signature is an AMS or an AS, parsed.
type signature struct {
	instance         int
	algorithm        string // a=: rsa-sha256 or ed25519-sha256
	domain, selector string
	b                []byte

	// Of an AMS.
	bodyHash []byte
	forms    []form // c=: one of them holds
	length   int64  // l=; -1: the whole body
	expires  int64  // x=, in seconds of Unix time; -1: never
	signed   []string

	// Of an AS.
	cv string // none, pass or fail
}

// parseSignature reads an AMS (RFC 8617 section 4.1.2) or an AS (section 4.1.3). Errors are
// *broken.
func parseSignature(f *field, seal bool) (*signature, error) {
	name := "ARC-Message-Signature"
	if seal {
		name = "ARC-Seal"
	}
	s := &signature{length: -1, expires: -1}
	t, err := parseTags(string(f.value()))
	if err == nil {
		s.instance, err = instance(t["i"])
	}
	if err == nil {
		err = s.common(t)
	}
	if err == nil && seal {
		err = s.seal(t)
	} else if err == nil {
		err = s.message(t)
	}
	if err != nil {
		return nil, brokenAt(s.instance, "%s: %v", name, err)
	}
	return s, nil
}

// common are the tags that both have.
func (s *signature) common(t tags) (err error) {
	if s.algorithm, err = t.need("a"); err != nil {
		return err
	}
	// An algorithm that nobody should use is none (RFC 8301 section 3.1).
	if s.algorithm != algorithmRSA && s.algorithm != algorithmEd25519 {
		return errorf("a=%s is not supported", shown(s.algorithm))
	}
	if s.b, err = t.base64("b"); err != nil {
		return err
	}
	if s.domain, err = t.need("d"); err != nil {
		return err
	}
	if s.selector, err = t.need("s"); err != nil {
		return err
	}
	_, err = t.number("t")
	return err
}

func (s *signature) seal(t tags) (err error) {
	if _, has := t["h"]; has {
		return errorf("h= is not allowed")
	}
	if s.cv, err = t.need("cv"); err != nil {
		return err
	}
	if s.cv != "none" && s.cv != "pass" && s.cv != "fail" {
		return errorf("cv=%s is not known", shown(s.cv))
	}
	return nil
}

func (s *signature) message(t tags) (err error) {
	if s.bodyHash, err = t.base64("bh"); err != nil {
		return err
	}
	if s.forms, err = t.forms(); err != nil {
		return err
	}
	if s.length, err = t.number("l"); err != nil {
		return err
	}
	if s.expires, err = t.number("x"); err != nil {
		return err
	}
	names, has := t["h"]
	if !has {
		return errorf("h= is missing")
	}
	for name := range strings.SplitSeq(strings.ToLower(names), ":") {
		if name = trim(name); name == nameAS {
			return errorf("h= has ARC-Seal") // RFC 8617 section 4.1.2
		}
		s.signed = append(s.signed, name)
	}
	return nil
}

// form is how a message is canonicalized; false is simple.
type form struct{ relaxedHeader, relaxedBody bool }

// forms is c=. Without it RFC 6376 section 3.5 means simple/simple, and so does RFC 8617
// section 4.1.2, which has no other word on it; but there are sealers, and the public tests,
// that mean relaxed/relaxed: either holds.
func (t tags) forms() ([]form, error) {
	c, has := t["c"]
	if !has {
		return []form{{}, {true, true}}, nil
	}
	header, body, both := strings.Cut(c, "/")
	if !both {
		body = "simple"
	}
	for _, name := range []string{header, body} {
		if name != "simple" && name != "relaxed" {
			return nil, errorf("c=%s is not known", shown(c))
		}
	}
	return []form{{header == "relaxed", body == "relaxed"}}, nil
}
