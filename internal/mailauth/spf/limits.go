package spf

import "time"

// What RFC 7208 section 4.6.4 bounds, and what it leaves to us.
const (
	maxTerms = 10 // that ask the DNS, in all records together
	maxVoid  = 2  // of these, such as found nothing
	maxHosts = 10 // of one mx
	maxNames = 10 // of the client's address, for ptr and %{p}

	// maxRecord bounds a record in bytes, as one of an explanation. What is published in
	// earnest fits a UDP packet.
	maxRecord = 8192
	// maxExplanation bounds an explanation after its macros were expanded: it goes into a
	// reply and into the log.
	maxExplanation = 500
	// maxName bounds a domain name (RFC 1035 section 2.3.4).
	maxName = 253

	// checkTime bounds one check, whatever time the caller has: section 4.6.4 wants at least
	// 20 seconds.
	checkTime = 20 * time.Second
)

// MaxQuestions is how many questions one check puts to the resolver at most: for the first
// record, for ten terms of one and ten, for the names of the client, for the explanation.
const MaxQuestions = 1 + maxTerms*(1+maxHosts) + 1 + maxNames + 1
