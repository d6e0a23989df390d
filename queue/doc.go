// Package queue keeps what was accepted until every recipient has a final state, and
// decides when, where and how many at once.
//
// The store (Store; on disk: queue/pebblestore) is the memory, the scheduler is the
// will. A message is in the queue when Commit of its draft has returned nil, and not
// before; it leaves when its last recipient is delivered, or failed with the report
// to its sender in the queue by the same commit. At-least-once: a crash between a
// next hop's 250 and our record of it sends the message again.
//
// # Terms
//
// A destination is a transport and a next hop. A site is the hosts that answer for
// destinations, for one or for ten thousand: what hosts bear is counted there.
//
// A job is what is left to do of one message at one destination. A job is in the
// store, or loaded: waiting in its destination's ring, being attempted, or with an
// outcome that is being recorded. A ring holds what has just arrived, and at most 32
// jobs fetched from the store. A round is all loaded jobs of one message; to the log, a
// message with a round is active (qmgr(8), "queue active").
//
// # How it works
//
//	Commit ── job ──┐
//	                v
//	store ──Claim─> ring of its destination ──> connection ──> Outcome ── Apply ─> store
//	  ^                                          (Transport)      │
//	  └── next due <───────────────────────────────────────────────┘
//
// Three parts share the work. scheduler is a state machine without clock, input or
// output: it is told events and answers with actions. rounds knows which jobs of a
// message are loaded, so that its sender hears of several failures in one report.
// Queue carries the actions out: it runs connections, reads and writes the store,
// has reports written and the log lines logged.
//
// Memory follows the number of destinations with mail and the active limit, not the
// number of messages: of what waits in the store, only the time when the first is due
// is known per destination. A retry is a timer, not a scan.
//
// # Invariants
//
//   - A job that was handed out is reported once, or given back to the store.
//   - A permanent failure is recorded by the commit that makes its report, or by a
//     later one, never by an earlier.
//   - No site has more connections than its window allows, but for those that close when
//     it has narrowed; and there are never more than ProcessLimit.
//   - What waits because of its site is due when the site answers again. What a host has
//     deferred for the message's own sake waits for its own time.
//
// The package knows neither SMTP nor DNS nor alias tables: Transport, Sites and Notifier,
// declared here, are plugged in. It does not look into what it carries.
package queue
