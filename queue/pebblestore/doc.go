// Package pebblestore keeps the queue on disk, in a Pebble database and, for large
// bodies, in files beside it.
//
//	store, err := pebblestore.Open(pebblestore.Options{Dir: "/var/spool/aliasmx"})
//	...
//	defer store.Close()
//
// A queue directory holds
//
//	lock          whoever has it locked owns the queue
//	db/           the database: envelopes, the state of jobs, small bodies
//	big/xx/ID     one file for each large body; big/new/ those under way
//	format        the version of what is here
//	ballast       space kept back for the day the disk is full
//	clean         what a clean shutdown leaves: the last queue ID of the log
//	adopted       another queue has taken this one over, see adopt.go
//
// All of it is its owner's alone, whatever the umask was (disk.go).
//
// # The way of a message
//
// Stage collects the body, in memory up to InlineLimit, beyond that in a file.
// Commit syncs that file and its directory, then writes one batch: envelope, and body
// or reference to the file. Commit returns nil when the batch is on stable storage,
// and only then. Apply writes one batch for all that an attempt changes, the reports
// it causes included: a recipient is finished, and its report exists, or neither.
//
// All batches go through one writer, in order. It does not wait for the disk: while
// one sync runs, what comes meanwhile is gathered, and the next sync covers all of it
// (group commit). A batch is visible to readers before it is synced; therefore nobody
// learns of new mail by reading, but from what Commit and Apply return.
//
// # Keys
//
//	n id            envelope of a message that was not tried yet; its jobs are implied
//	m id            envelope of any other message
//	j id job        state of an open job: recipients, reasons, attempts, when it is due
//	t dest due id job   index of the jobs that are not on hold, by destination
//	b id            body, when it is not in a file
//	f id            the body is in a file
//	h id            the message is on hold
//	x id            the message is corrupt: reason, and what was left of its envelope
//	o identity id   where a message came from that is being taken over (adopt_mark.go)
//	s highwater     no queue ID above it was ever used
//	s counts        how many messages are deferred, on hold ...; n is counted at the start
//	s held dest     nothing is to be sent to this destination
//	s identity      random, made with the queue
//	s scrub         where the weekly check is (scrub.go)
//
// A message has either n, or m and a j for each open job. A recipient is unfinished
// exactly when some j (or n) has it. Keys that are written once and removed once (n,
// t, b, f) are removed by DEL and not by SINGLEDEL, which would leave no tombstone: the
// engine panics where it meets an error of the disk while it elides one. Every envelope,
// job and body has a CRC32C, checked whenever it is read from disk.
//
// Claims are in memory only: after a crash every job can be given out again. Nothing
// that is kept in memory, and nothing that Open does, grows with the deferred mail.
//
// # When things break
//
// Mail is turned away while there is still room on the disk (Options.MinFree). What was
// taken in can be delivered, deferred and removed on a full disk: for that there are
// the room below the line and the ballast. If others take that too, nothing is recorded
// until there is room again, and nothing fails.
//
// A failed sync ends the process (Options.Fatal): what the kernel still has of the
// log afterwards is unknown, and nobody may be told 250 on the strength of it. A
// message whose bytes are not those that were stored goes to the corrupt queue, with
// an error in the log; it is neither sent nor dropped. What nobody reads for a week is
// read to see whether it is still what it was.
package pebblestore
