// Package talks reads conversations with an SMTP server and plays the client in them. The
// same file is played to our engine in memory, to our engine over sockets, to the built
// binary, to Debian's Postfix and to go-smtp's server.
//
// A file is one theme. Settings above the first conversation are those of all of them.
//
//	# What the file is about.
//	smtpd_helo_required = yes        a parameter of postconf(5)
//	== nested MAIL                   the next conversation, with a name of its own
//	message_size_limit = 100         settings of this one
//	virtual a@virt.example b@dest.example    an entry of the alias table that all share
//	dns dest.example. MX 10 mx.dest.example. a record of the DNS
//	only ours: REASON                Postfix is not asked, because
//	only memory: REASON              nor is anybody over a socket, because
//	differs: RULE                    lines with O or P, by a rule of docs/differences.md
//	open 127.0.0.3                   a client connects from there; the one before hangs up
//	also 127.0.0.3                   a client connects, and the one before stays
//	back 1                           goes on with the first, second ... client
//	C: NOOP                          a line from the client
//	R: "BDAT 3\r\nab" + "c" * 1      bytes from the client, as Go strings
//	B: "NOOP\r\n"                  bytes that do not wait for the greeting
//	S: 250 2.0.0 Ok                  a line of a reply, exactly; Q1, Q2 ... are queue IDs
//	~: 250-                          the beginning of one
//	E: client.example                EHLO, and a reply 250, whatever it offers
//	T: ok                            the client begins with TLS, and succeeds (or "fails")
//	W: 5m                            time passes
//	F:                               the client closes its half of the connection
//	Z:                               the client is gone
//	X:                               the server has closed
//	O S: ...                         a line that only we say (O and any kind)
//	P S: ...                         a line that only Postfix says
//	-- queue                         what was taken; with nothing below it, nothing was
//	from <s@example.net> BODY=8BITMIME
//	to <b@dest.example> ORCPT=rfc822;a@virt.example
//	received from x (unknown [127.0.0.2]) by mx.example.com (Postfix) with ESMTP id Q1; DATE
//	data "Subject: x\r\n\r\n" + "y" * 90
//	-- log                           the lines of smtpd; "cleanup: " and "anvil: " begin the others
//
// A conversation without "open" is with a client from 127.0.0.2. A greeting that is not
// asked for is 220. The last client hangs up at the end. A conversation without "-- queue"
// has left nothing in the queue; one without "-- log" says nothing about the log.
//
// Invariants. A line that is none fails the reader, with file and number. Nothing here
// knows how a server works, and nothing is imported from one.
package talks
