package arc

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The fields of a set, in lower case.
const (
	nameAAR = "arc-authentication-results"
	nameAMS = "arc-message-signature"
	nameAS  = "arc-seal"
)

// MaxInstances is how many sets a chain can have (RFC 8617 section 5.2, step 1).
const MaxInstances = 50

// set is one ARC set.
type set struct {
	aar, ams, as       *field
	signature, sealing *signature // of ams and as
}

// broken is what is wrong with a chain, and at which instance; 0: at none that is known.
type broken struct {
	instance int
	reason   string
}

func (b *broken) Error() string {
	if b.instance == 0 {
		return b.reason
	}
	return fmt.Sprintf("i=%d: %s", b.instance, b.reason)
}

func brokenAt(instance int, format string, args ...any) error {
	return &broken{instance, fmt.Sprintf(format, args...)}
}

func isARC(name string) bool { return name == nameAAR || name == nameAMS || name == nameAS }

// chainOf sorts the sets of a header by instance and proves their structure (RFC 8617
// section 5.2, steps 1 to 3). Without ARC fields it has none.
func chainOf(fields []field) ([]set, error) {
	var sets [MaxInstances + 1]set
	n := 0
	for i := range fields {
		f := &fields[i]
		if !isARC(f.name) {
			continue
		}
		instance, err := sets[0].read(f)
		if err != nil {
			return nil, err
		}
		s := &sets[instance]
		place, name := s.place(f.name)
		if *place != nil {
			return nil, brokenAt(instance, "%s stands there twice", name)
		}
		*place = f
		switch f.name {
		case nameAMS:
			s.signature = sets[0].signature
		case nameAS:
			s.sealing = sets[0].sealing
		}
		n = max(n, instance)
	}
	if n > 0 && sets[n].sealing != nil && sets[n].sealing.cv == "fail" {
		return nil, brokenAt(n, "it is sealed as failed")
	}
	for i := 1; i <= n; i++ {
		if err := sets[i].whole(i); err != nil {
			return nil, err
		}
	}
	return sets[1 : n+1], nil
}

// read parses a field into s and tells its instance.
func (s *set) read(f *field) (instance int, err error) {
	switch f.name {
	case nameAAR:
		return instanceOfResults(string(f.value()))
	case nameAMS:
		s.signature, err = parseSignature(f, false)
		if err == nil {
			instance = s.signature.instance
		}
	default:
		s.sealing, err = parseSignature(f, true)
		if err == nil {
			instance = s.sealing.instance
		}
	}
	return instance, err
}

func (s *set) place(name string) (**field, string) {
	switch name {
	case nameAAR:
		return &s.aar, "ARC-Authentication-Results"
	case nameAMS:
		return &s.ams, "ARC-Message-Signature"
	}
	return &s.as, "ARC-Seal"
}

// whole tells what is wrong with set i of a chain.
func (s *set) whole(i int) error {
	for _, name := range []string{nameAAR, nameAMS, nameAS} {
		if f, shown := s.place(name); *f == nil {
			return brokenAt(i, "%s is missing", shown)
		}
	}
	want := "pass"
	if i == 1 {
		want = "none"
	}
	if s.sealing.cv != want {
		return brokenAt(i, "ARC-Seal has cv=%s", s.sealing.cv)
	}
	return nil
}

// instanceOfResults is the instance that an AAR begins with: "i=1;", with comments and white
// space anywhere.
func instanceOfResults(s string) (int, error) {
	bad := brokenAt(0, "ARC-Authentication-Results does not begin with i=")
	s, ok := strings.CutPrefix(skipComments(s), "i")
	if !ok {
		return 0, bad
	}
	if s, ok = strings.CutPrefix(skipComments(s), "="); !ok {
		return 0, bad
	}
	s = skipComments(s)
	end := 0
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	n, err := instance(s[:end])
	if err != nil {
		return 0, brokenAt(0, "ARC-Authentication-Results: %v", err)
	}
	if !strings.HasPrefix(skipComments(s[end:]), ";") {
		return 0, brokenAt(n, "ARC-Authentication-Results has no semicolon behind i=")
	}
	return n, nil
}

var errInstance = errors.New("i= is no number from 1 to 50")

func instance(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil || n < 1 || n > MaxInstances || len(s) > 2 {
		return 0, errInstance
	}
	return int(n), nil
}

// skipComments skips white space and comments (RFC 5322 section 3.2.2, CFWS).
func skipComments(s string) string {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == '\\' && depth > 0:
			i++
		case depth > 0 || c == ' ' || c == '\t' || c == '\r' || c == '\n':
		default:
			return s[i:]
		}
	}
	return ""
}

// highest is the highest instance that a field of any set has, 0 for none, and whether the
// seal of that one says that the chain had failed. The chain may be broken in any way.
func highest(fields []field) (n int, failed bool) {
	for i := range fields {
		f, s := &fields[i], set{}
		if !isARC(f.name) {
			continue
		}
		at, err := s.read(f)
		if err != nil {
			at = looseInstance(f)
		}
		if at > n {
			n, failed = at, false
		}
		failed = failed || at == n && s.sealing != nil && s.sealing.cv == "fail"
	}
	return n, failed
}

// looseInstance is the instance of a field that cannot be used otherwise, 0 for none.
func looseInstance(f *field) int {
	for part := range strings.SplitSeq(string(f.value()), ";") {
		name, value, _ := strings.Cut(part, "=")
		if trim(name) == "i" {
			n, _ := instance(trim(value))
			return n
		}
	}
	return 0
}
