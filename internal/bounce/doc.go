// Package bounce writes reports to senders: delivery status notifications, RFC 3464,
// as bounce(8) writes them, word for word (bounce(5)).
//
// A report is a message of three parts (RFC 6522): a text for people, fields for
// programs, and the message it is about, whole or its header only. It goes to the
// reverse-path of that message, with a null reverse-path of its own, so that a report
// is never answered with a report. What became of a null reverse-path is for the
// postmaster, if notify_classes asks for it, and for nobody else.
//
// Invariants. A report is well-formed whatever a server said in its reply and whatever
// the returned message holds: control characters are masked, lines are folded, and the
// boundary occurs nowhere else. A report is small enough for memory: a message above
// bounce_size_limit comes back as its header, and a header above header_size_limit as
// the beginning of it.
//
// Its words come from templates (template.go, template_file.go); addresses that are not
// ASCII are in international.go; what a sender is not to learn of an alias is taken out in
// veil.go. Beside reports it writes the letters to the postmaster about sessions with
// errors (transcript.go).
//
// The package writes; it sends nothing, keeps nothing, and does not decide when there
// is something to report. It is given the fate of recipients, and returns an envelope
// and a body for the queue.
package bounce
