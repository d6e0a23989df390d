package tlsrpt

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// The schema of RFC 8460 section 4.4 with the types that its text gives, read by itself:
// nothing of the package is used here.

// field is one name of an object.
type field struct {
	name     string
	required bool
	check    func(any) error
}

// checkReport tells what is wrong with a report.
func checkReport(raw []byte) error {
	if !utf8.Valid(raw) {
		return fmt.Errorf("not UTF-8, which I-JSON is")
	}
	var doc any
	if err := json.Unmarshal(raw, &doc); err != nil {
		return err
	}
	return object(
		field{"organization-name", true, text},
		field{"date-range", true, dateRange},
		field{"contact-info", true, match(`^[^@\s]+@[a-z0-9.-]+$`)},
		field{"report-id", true, match(`^[^@\s<>]+@[^@\s<>]+$`)}, // as the Subject has it
		field{"policies", true, list(1, checkPolicy)},
	)(doc)
}

func object(fields ...field) func(any) error {
	return func(v any) error {
		m, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("%v is no object", v)
		}
		for name := range m {
			if !slices.ContainsFunc(fields, func(f field) bool { return f.name == name }) {
				return fmt.Errorf("%q is not in the schema", name)
			}
		}
		for _, f := range fields {
			value, there := m[f.name]
			switch {
			case !there && f.required:
				return fmt.Errorf("there is no %q", f.name)
			case there:
				if err := f.check(value); err != nil {
					return fmt.Errorf("%s: %w", f.name, err)
				}
			}
		}
		return nil
	}
}

func list(least int, each func(any) error) func(any) error {
	return func(v any) error {
		all, ok := v.([]any)
		if !ok || len(all) < least {
			return fmt.Errorf("%v is no array of at least %d", v, least)
		}
		for _, one := range all {
			if err := each(one); err != nil {
				return err
			}
		}
		return nil
	}
}

func text(v any) error {
	if s, ok := v.(string); !ok || s == "" || strings.ContainsAny(s, "\r\n\x00") {
		return fmt.Errorf("%q is no text in one line", v)
	}
	return nil
}

func match(pattern string) func(any) error {
	return func(v any) error {
		if s, ok := v.(string); !ok || !regexp.MustCompile(pattern).MatchString(s) {
			return fmt.Errorf("%q does not match %s", v, pattern)
		}
		return nil
	}
}

func oneOf(words ...string) func(any) error {
	return func(v any) error {
		if s, ok := v.(string); !ok || !slices.Contains(words, s) {
			return fmt.Errorf("%q is none of %v", v, words)
		}
		return nil
	}
}

// ip: "::ffff:192.0.2.1" and "fe80::1%eth0" are not what section 4.4 means.
func ip(v any) error {
	s, _ := v.(string)
	a, err := netip.ParseAddr(s)
	if err != nil || a.Is4In6() || a.Zone() != "" || a.String() != s {
		return fmt.Errorf("%q is no address", v)
	}
	return nil
}

func number(v any) error {
	if n, ok := v.(float64); !ok || n < 0 || n != float64(uint64(n)) {
		return fmt.Errorf("%v is no number of sessions", v)
	}
	return nil
}

func dateRange(v any) error {
	date := match(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`) // RFC 3339, UTC
	if err := object(field{"start-datetime", true, date}, field{"end-datetime", true, date})(v); err != nil {
		return err
	}
	m := v.(map[string]any)
	start, err1 := time.Parse(time.RFC3339, m["start-datetime"].(string))
	end, err2 := time.Parse(time.RFC3339, m["end-datetime"].(string))
	if err1 != nil || err2 != nil || !start.Equal(start.Truncate(24*time.Hour)) || end.Sub(start) != 24*time.Hour-time.Second {
		return fmt.Errorf("%v is no full day of UTC", v)
	}
	return nil
}

func checkPolicy(v any) error {
	domain := match(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*$`)
	err := object(
		field{"policy", true, object(
			field{"policy-type", true, oneOf("tlsa", "sts", "no-policy-found")},
			field{"policy-string", false, list(1, text)},
			field{"policy-domain", true, domain},
			field{"mx-host", false, list(1, match(`^(\*\.)?[a-z0-9_.-]+$`))},
		)},
		field{"summary", true, object(
			field{"total-successful-session-count", true, number},
			field{"total-failure-session-count", true, number},
		)},
		field{"failure-details", false, list(1, object(
			field{"result-type", true, oneOf("starttls-not-supported", "certificate-host-mismatch", "certificate-expired",
				"certificate-not-trusted", "validation-failure", "tlsa-invalid", "dnssec-invalid", "dane-required",
				"sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid")},
			field{"sending-mta-ip", false, ip}, // not there: several
			field{"receiving-mx-hostname", false, text},
			field{"receiving-mx-helo", false, text},
			field{"receiving-ip", false, ip},
			field{"failed-session-count", true, number},
			field{"additional-information", false, text},
			field{"failure-reason-code", false, text},
		))},
	)(v)
	if err != nil {
		return err
	}
	return sums(v.(map[string]any))
}

// sums: failures are counted once, so the details of a policy add up to its summary.
func sums(p map[string]any) error {
	if p["policy"].(map[string]any)["policy-type"] == "no-policy-found" && p["policy"].(map[string]any)["policy-string"] != nil {
		return fmt.Errorf("no policy was found, and yet it has lines")
	}
	var details float64
	failures, _ := p["failure-details"].([]any)
	for _, f := range failures {
		details += f.(map[string]any)["failed-session-count"].(float64)
	}
	summary := p["summary"].(map[string]any)
	failed := summary["total-failure-session-count"].(float64)
	if details != failed {
		return fmt.Errorf("%v sessions failed, and the details know %v", failed, details)
	}
	if failed+summary["total-successful-session-count"].(float64) == 0 {
		return fmt.Errorf("a policy without sessions")
	}
	return nil
}
