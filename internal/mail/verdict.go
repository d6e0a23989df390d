package mail

// Verdict is what is known of whether the next hops would take mail for an address
// (ADDRESS_VERIFICATION_README).
type Verdict struct {
	State VerdictState
	// Status is the answer of the next hop or of our own tables; zero while State is
	// VerdictPending.
	Status Status
	// Reason is the answer as the log has it: "host mx[192.0.2.1] said: 550 5.1.1 no such
	// user (in reply to RCPT TO command)".
	Reason string
}

// VerdictState is what a Verdict says.
type VerdictState uint8

// The states. Pending is the zero value: what nobody knows is not decided.
const (
	VerdictPending     VerdictState = iota // a probe is under way
	VerdictDeliverable                     // mail would be taken
	VerdictDeferred                        // it would not be taken now
	VerdictRefused                         // it would be refused for good
)
