// Package admin is the operator's hand on a running daemon: HTTP over a unix socket in
// the queue directory. Server answers in the daemon, Client asks from the commands
// postqueue, postsuper, postcat, mailq, status, stop and reload.
//
// Who asks is told by the kernel, not by the peer. The superuser and the daemon's own
// user may do everything; other local users see the queue and flush it as far as
// postconf(5) authorized_mailq_users and authorized_flush_users let them. Health is
// for everybody.
//
//	GET  /v1/health               200, or 503 with the reason
//	GET  /v1/status               Status
//	POST /v1/stop                 202, and the daemon ends
//	POST /v1/reload               204, or 422 with what is wrong: then nothing changed
//	GET  /v1/queue                one message a line, then {"end":true}
//	POST /v1/queue/select         queues and a Selection; likewise
//	POST /v1/queue/flush          ?id=ID, ?site=DOMAIN, or everything; ?watch=1: a stream
//	POST /v1/queue/actions        a Request; one result a line, then {"end":true}
//	POST /v1/queue/actions/selected   the same with a Selection
//	GET  /v1/destinations/held    destinations on hold
//	POST /v1/destinations/hold    and /release
//	POST /v1/queue/adopt          {"dir":...}; how far it is, line by line, then {"end":true}
//	GET  /v1/messages/ID          the envelope
//	GET  /v1/messages/ID/listed   its line of the listing
//	GET  /v1/messages/ID/content  the bytes below Envelope.Prepend
//
// Listings are streams: a queue of a million messages is in the memory of neither
// side, the first lines come at once, and the work ends when the client goes. Lines
// between say how far long work is. A stream without its last line is an error, never a
// short queue. Every wait
// for the other side has a deadline.
//
// Errors are {"error":"..."} with a status: 403 is ErrForbidden to the client, 404
// ErrNotFound.
//
// Queue is declared here and provided by the queue; commands use the same interface
// on a Client, or without a daemon on the queue directly, so that they do not care.
// The package knows no store and writes nothing but what is asked of it.
package admin
