package tlspolicy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"aliasmx/internal/mail"
)

// entry is a value of smtp_tls_policy_maps: "level attribute=value ...".
type entry struct {
	level      mail.TLSLevel
	match      []string // names, or fingerprints
	ciphers    string   // "": what the parameters say
	exclude    *string  // nil: what the parameters say
	protocols  *string  // the same
	servername string   // the same with ""
	tafiles    []string
	// What a program that looks up the policies of receivers has put there.
	published mail.TLSPublished // Type "": nothing
	failure   string            // a result type of RFC 8460 that makes every certificate a wrong one
	ignored   []string          // attributes that do nothing without TLS
}

// levels are those that can be asked for.
var levels = map[mail.TLSLevel]bool{
	mail.TLSNone: true, mail.TLSMay: true, mail.TLSEncrypt: true, mail.TLSFingerprint: true, mail.TLSVerify: true,
	mail.TLSSecure: true, mail.TLSDANE: true, mail.TLSDANEOnly: true,
}

// The words of policy_type and policy_failure (RFC 8460 sections 4.2 and 4.3).
var (
	policyTypes = []string{"sts", "no-policy-found"}
	failures    = []string{"sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid", "validation-failure"}
)

// parseEntry reads a value. Its errors are Postfix's.
func parseEntry(value string) (*entry, error) {
	list := fields(value)
	if len(list) == 0 {
		return nil, errors.New("invalid empty policy")
	}
	e := &entry{level: mail.TLSLevel(strings.ToLower(list[0]))}
	if !levels[e.level] {
		return nil, fmt.Errorf("invalid security level %q", list[0])
	}
	if e.level == mail.TLSNone {
		e.ignored = list[1:]
		return e, nil
	}
	seen := map[string]bool{}
	ttl := false
	for _, word := range list[1:] {
		text, err := word, error(nil)
		if text[0] == '{' {
			text, err = unbraced(text)
		}
		var name, val string
		if err == nil {
			name, val, err = nameValue(text)
		}
		if err != nil {
			return nil, fmt.Errorf("malformed attribute/value pair %q: %w", word, err)
		}
		key := strings.ToLower(name)
		if seen[key] && slices.Contains(onceOnly, key) {
			return nil, fmt.Errorf("attribute %q is specified multiple times", name)
		}
		seen[key] = true
		ttl = ttl || key == "policy_ttl"
		if err := e.set(name, key, val); err != nil {
			return nil, err
		}
	}
	if p := e.published; p.Type == "" && (ttl || p.Domain != "" || p.Strings != nil || p.Hosts != nil || e.failure != "") {
		return nil, errors.New("built-in policy has unexpected attribute policy_ttl, policy_domain, policy_string, mx_host_pattern or policy_failure")
	}
	return e, nil
}

// onceOnly are the attributes that may not be said twice.
var onceOnly = []string{"ciphers", "protocols", "servername", "exclude", "policy_ttl", "policy_type", "policy_domain", "policy_failure"}

// set takes one attribute: name as it is written, key in lower case.
func (e *entry) set(name, key, val string) error {
	empty := func() error { return fmt.Errorf("attribute %q has empty value", name) }
	misplaced := func() error { return fmt.Errorf("attribute %q invalid at security level %q", name, e.level) }
	verifies := e.level == mail.TLSVerify || e.level == mail.TLSSecure
	switch key {
	case "ciphers":
		if val == "" {
			return empty()
		}
		e.ciphers = val
	case "protocols":
		e.protocols = &val
	case "exclude":
		e.exclude = &val
	case "servername":
		if !validHostname(val) {
			return fmt.Errorf(`"%s=%s" specifies an invalid hostname`, name, val)
		}
		e.servername = val
	case "match":
		separator := ":"
		switch {
		case val == "":
			return empty()
		case e.level == mail.TLSFingerprint:
			separator = "|"
		case !verifies:
			return misplaced()
		}
		e.match = append(e.match, strings.FieldsFunc(val, func(r rune) bool { return string(r) == separator })...)
	case "tafile":
		switch {
		case !verifies:
			return misplaced()
		case val == "":
			return empty()
		}
		e.tafiles = append(e.tafiles, val)
	case "connection_reuse", "enable_rpk":
		// Connections are reused in any case; raw public keys are not spoken.
		if !strings.EqualFold(val, "yes") && !strings.EqualFold(val, "no") {
			return fmt.Errorf("attribute %q has bad value: %q", name, val)
		}
	default:
		return e.setPublished(name, key, val)
	}
	return nil
}

// setPublished takes an attribute about what the receiver has published.
func (e *entry) setPublished(name, key, val string) error {
	p := &e.published
	switch key {
	case "policy_ttl":
		if val == "" || strings.Trim(val, "0123456789") != "" || len(val) > 10 {
			return fmt.Errorf("attribute %q has a malformed value: %q", name, val)
		}
	case "policy_type":
		if p.Type = strings.ToLower(val); !slices.Contains(policyTypes, p.Type) {
			return fmt.Errorf("attribute %q has an unexpected value: %q", name, val)
		}
	case "policy_domain":
		if !validHostname(val) {
			return fmt.Errorf("attribute %q has a malformed value: %q", name, val)
		}
		p.Domain = val
	case "policy_string":
		p.Strings = append(p.Strings, val)
	case "mx_host_pattern":
		p.Hosts = append(p.Hosts, val)
	case "policy_failure":
		if e.failure = strings.ToLower(val); !slices.Contains(failures, e.failure) {
			return fmt.Errorf("attribute %q has an unexpected value: %q", name, val)
		}
	default:
		return fmt.Errorf("invalid attribute name: %q", name)
	}
	return nil
}
