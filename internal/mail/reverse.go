package mail

// Reverse is what the tables make of the reverse-path of a message.
type Reverse struct {
	Path Address // as it is kept and sent on
	// First and Last are the automatic copies of the message (sender_bcc_maps,
	// always_bcc): before and behind the recipients that were asked for.
	First, Last []Recipient
}
