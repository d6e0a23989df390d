// Package local delivers mail for local names, as local(8) of Postfix does it by
// aliases(5). It is the transport "local" of the queue.
//
// A local name is an address in mydestination. There are no mailboxes: a name exists
// when alias_maps has it. What it leads to is found out at delivery, not before:
//
//	address            another local name is looked up in turn; mail for any other address
//	                   is put into the queue as a message of its own
//	|command           gets the message on standard input
//	/file/name         gets it appended, a path that ends in / as a maildir
//	:include:/file     names a file with more of these
//
// Terms. The recipient is the local address that the queue hands over. Each command,
// file and forwarded message it leads to is a target (mail.Target), with its own line in
// the log and, should it fail, its own entry in the report to the sender. An alias with
// an owner (owner-name in the same tables) is a list: the owner takes the place of the
// sender. Rights are those of who owns the file that says what to do; where that is root,
// those of default_privs. Nothing is ever done as root but reading :include: files that
// root's aliases name.
//
// Invariants. A recipient is recorded as one: while any of its targets is deferred, it is
// tried again. What was delivered to already is left out then, as long as the process
// lives; after a restart it is delivered to again, as in Postfix. Loops end: within an
// expansion by depth, from outside by the Delivered-To: field that every delivery leaves.
// The bytes of a message stay as they came below what is put above them.
//
// The package does not decide which addresses are local, or where others go: it asks a
// Router. It reads no mailbox, no .forward file and no configuration.
//
//	t, err := local.New(local.Options{Aliases: maps, Router: resolver, Queue: q, ...})
//	t.Work(ctx, "local:mx.example.com", source) // as queue.Transport
package local
