package milter

// What a milter can make us hold or wait for. None of it is met by one that works.

const (
	// maxPacket is the longest packet of a milter. libmilter sends at most 65535 bytes of a
	// body at once, and longer ones only for a header field.
	maxPacket = 1 << 20
	// maxEdits is what all modifications of one message may hold together: texts of fields,
	// addresses and their parameters, with a price for each. A replaced body is not part of
	// it: it goes into the queue's own staging area.
	maxEdits = 1 << 20
	// editPrice is what a modification costs beside its text.
	editPrice = 100
	// maxHeader bounds what is remembered of the fields of a message that milters look at:
	// their names, with a price for each. That is for more than 10000 fields.
	maxHeader  = 1 << 20
	fieldPrice = 96
	// maxSteps is how many time limits one event may take in all, when the milter keeps
	// telling that it still works (SMFIR_PROGRESS).
	maxSteps = 10
	// bodyChunk is MILTER_CHUNK_SIZE of libmilter.
	bodyChunk = 65535
	// maxPrepend is how much may stand above the content in an envelope. Further fields go
	// into the content.
	maxPrepend = 64 << 10
)
