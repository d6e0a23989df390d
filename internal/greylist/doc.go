// Package greylist says for how long mail is not taken yet: the first time that somebody
// writes to somebody from somewhere, he is asked to come again, which a mail server does
// and much of what sends spam does not. It behaves as postgrey does.
//
// A triple is a client's network, a sender and a recipient. It is new until it has come
// again no sooner than Delay and no later than RetryWindow after it came first; from then on
// it passes, until it was not seen for Expire. A network that has so made AutoAllow triples
// pass, at most one an hour, passes with all its mail, until that has not come for Expire.
//
// Invariants. The table holds no more than MaxEntries triples, and as many networks. A
// refusal is always for now. The table is a file of its own (package cachefile), written
// shortly after a change: what a crash loses of it costs a sender one more attempt. A file
// that cannot be read is as good as none.
//
// The package knows nothing of SMTP, nor of who is exempt: that is smtpd's
// (check_greylist).
package greylist
