// Package reputation knows how much mail comes for our aliases and what becomes of it, and
// says when one has had enough.
//
// An alias is an address of ours that mail came for, as the client named it: in lower case,
// without its address extension. Rates (rates.go, catchall.go) count messages in units of
// time, in memory alone. The ledger (ledger.go) counts by day, for 30 days and on disk: what
// came for an alias; what was delivered, and what refused, by the results of deliveries;
// complaints, which receivers send as feedback reports (RFC 5965); failures that come back
// as delivery status notifications (RFC 3464). The same is counted for the domains that the
// mail went to.
//
// A report is about an alias if it says so itself, or if the message it has with it bears
// our Received field. Nobody proves that a report is genuine: it comes from whoever knows
// the address for it.
//
// Invariants. Everything is bounded: the aliases and domains that are counted, the messages
// that are remembered by their queue ID, what is read of a report. A table of limits that
// cannot answer refuses for now. Counting never keeps mail from its way.
package reputation
