package mail

// Transcript is what was said in a session with errors that the postmaster wants to know of
// (postconf(5): notify_classes).
type Transcript struct {
	Client  string   // name[address]
	Lines   []string // "In:  MAIL FROM:<...>", "Out: 250 ...", in their order
	Reason  string   // why the session ended before its time; "": it did not
	Unknown bool     // a recipient was refused, as a message to it would have bounced
}
