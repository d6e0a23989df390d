package dns

import "errors"

// What an *Error is, for errors.Is.
var (
	// ErrNotFound: there are no such records.
	ErrNotFound = errors.New("not found")
	// ErrTemporary: nobody could say whether there are such records.
	ErrTemporary = errors.New("temporary failure")
	// ErrNullMX: the domain says that it takes no mail (RFC 7505).
	ErrNullMX = errors.New("null MX")
)

// Kind is why a lookup gave no records.
type Kind uint8

// The kinds.
const (
	Temporary Kind = iota // what is not known to be final may change
	NoName                // NXDOMAIN
	NoData                // the name exists, records of this type do not
	BadName               // not a name that could exist
	Loop                  // CNAMEs that lead in a circle, or too far
	NullMX
	Malformed // records, but none that could be used, or an alias of what is no name
	Filtered  // records, and View.Filter has left out each
	NoFilter  // View.Filter could not say
)

// Error is a lookup without records.
type Error struct {
	Name string
	Type string // "MX", "A", "AAAA", "PTR"
	Kind Kind
	// Cause is what went wrong underneath, nil where the servers have answered. It is
	// for the operator and no part of the text, which is the same as Postfix's.
	Cause error
}

func (e *Error) Error() string {
	var why string
	switch e.Kind {
	case BadName:
		return "Name service error for " + e.Name + ": invalid host or domain name"
	case Loop:
		return "Name server loop for " + e.Name
	case NullMX:
		return "Domain " + e.Name + " does not accept mail (nullMX)"
	case Malformed:
		return "Name service error for name=" + e.Name + " type=" + e.Type + ": Malformed or unexpected name server reply"
	case Filtered:
		return "Error looking up name=" + e.Name + " type=" + e.Type + ": DNS reply filter drops all results"
	case NoFilter:
		return "Error looking up name=" + e.Name + " type=" + e.Type + ": Invalid DNS reply filter syntax"
	case NoName:
		why = "Host not found"
	case NoData:
		why = "Host found but no data record of requested type"
	default:
		why = "Host not found, try again"
	}
	return "Host or domain name not found. Name service error for name=" + e.Name + " type=" + e.Type + ": " + why
}

// Is sorts the kinds for errors.Is.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrTemporary:
		return e.Kind == Temporary || e.Kind == NoFilter
	case ErrNullMX:
		return e.Kind == NullMX
	case ErrNotFound:
		return e.Kind == NoName || e.Kind == NoData || e.Kind == BadName || e.Kind == Loop
	}
	return false
}

func (e *Error) Unwrap() error { return e.Cause }
