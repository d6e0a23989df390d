package mail

// AliasVerdict is whether one of our addresses may have a message now. The zero value: it
// may.
type AliasVerdict struct {
	// Refused, when not nil, is the reply to RCPT; its Text is what follows "<address>: ".
	Refused *Status
	// Hold is why the message is to go on hold; "": it is not.
	Hold string
	// Warn is for the log, about what has gone too far; "": nothing new has. The client is
	// named behind it.
	Warn string
}
