package delivery

import (
	"errors"
	"slices"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/wire"
)

// job is one attempt while it is worked on: which recipients are not decided yet, and
// what became of the others. Recipients are named by their position in Attempt.Rcpts.
//
// A recipient that a host refused for now, while there are more hosts, is set aside: it
// is none of this host's any more, and left again when the next one is tried.
type job struct {
	a     *mail.Attempt
	set   *settings
	from  Source // where its connections are made from
	agent string
	began time.Time

	setup   time.Time // when the connection was ready for this message; zero before
	left    []int
	aside   []int
	results []mail.Result

	why        *failure      // the last thing that went wrong
	byData     bool          // some host has not taken BDAT: no more of it
	complete   bool          // some host has seen a transaction through
	unwell     bool          // the last failure was the destination's
	turnedAway bool          // the last host said 421
	unheed     []func() bool // ends what heed has begun
	tls        string        // of the last host that there was no connection to: how it was to be secured
}

// begin makes an attempt the worker's job. The results are the queue's afterwards, all
// else serves for the next one.
func (w *worker) begin(a *mail.Attempt) *job {
	j := &w.job
	*j = job{a: a, set: w.set, agent: w.set.agent(w.proto), began: w.set.Now(), left: j.left[:0], aside: j.aside[:0]}
	j.results = make([]mail.Result, 0, len(a.Rcpts))
	for i := range a.Rcpts {
		j.left = append(j.left, i)
	}
	return j
}

// failure is why recipients were not delivered.
type failure struct {
	status mail.Status
	reason string
	mta    string // host whose reply it is, "" for our own findings
	reply  string
	// site: it is the host that failed, not the message.
	site bool
	// elsewhere: permanent here, but another host may be able to.
	elsewhere bool
	// tls is what is wrong with the host's TLS, in words of RFC 8460; requireTLS what
	// REQUIRETLS misses, in those of smtp_log_tls_feature_status.
	tls, requireTLS string
}

func (f *failure) permanent() bool { return f.status.Enhanced[0] == 5 }
func (f *failure) isLoop() bool    { return f.status.Enhanced[1] == 4 && f.status.Enhanced[2] == 6 }

// local is a failure that no server said.
func local(code mail.Enhanced, reason string) *failure {
	return &failure{status: mail.Status{Enhanced: code, Text: reason}, reason: reason}
}

// siteFailure is one that says something about the host.
func siteFailure(code mail.Enhanced, reason string) *failure {
	f := local(code, reason)
	f.site = true
	return f
}

// ofError is the failure of something that another room has done for us.
func ofError(err error, reason string) *failure {
	f := local(mail.Code(4, 3, 0), reason)
	if s, ok := errors.AsType[*mail.Status](err); ok {
		f.status, f.reason = *s, s.Text
	}
	return f
}

// remote is what a server said: the class of its code decides. A reply that refuses
// neither for now nor for good does not belong where it came; like Postfix we take that
// for permanent.
func remote(host string, r *wire.Reply, reason string) *failure {
	f := &failure{reason: reason, mta: host, reply: r.Text()}
	f.status = mail.Status{Code: r.Code, Enhanced: r.Status(), Text: f.reply}
	if c := f.status.Enhanced[0]; c != 4 && c != 5 {
		f.status.Enhanced = mail.Code(5, 5, 0)
		f.reason = "Protocol error: " + reason
	}
	return f
}

// fail decides all that are left, or sets them aside where the failure is one for which
// another host is to be tried. It tells whether they were set aside.
func (j *job) fail(f *failure, s *session) bool {
	j.note(f)
	if (!f.permanent() || f.elsewhere) && s != nil && !s.final {
		s.log.Info(f.reason, mail.KeyQueueID, j.a.Env.ID.String())
		j.setAside()
		return true
	}
	for _, pos := range j.left {
		j.decide(pos, f, s)
	}
	j.left = j.left[:0]
	return false
}

// setAside leaves all that are left to the next connection.
func (j *job) setAside() {
	j.aside = append(j.aside, j.left...)
	j.left = j.left[:0]
}

// failOne is fail for one recipient.
func (j *job) failOne(pos int, f *failure, s *session) {
	j.note(f)
	j.left = without(j.left, pos)
	if !f.permanent() && !s.final {
		s.log.Info(f.reason, mail.KeyQueueID, j.a.Env.ID.String())
		j.aside = append(j.aside, pos)
		return
	}
	j.decide(pos, f, s)
}

func (j *job) note(f *failure) {
	j.why = f
	j.turnedAway = j.turnedAway || f.status.Code == 421
	j.unwell = f.site && !f.permanent()
}

// decide makes a failure the result of a recipient. s is nil when there is no connection.
func (j *job) decide(pos int, f *failure, s *session) {
	r := j.result(pos, s)
	r.State = mail.Deferred
	if f.permanent() {
		r.State = mail.Failed
	}
	r.Status, r.Reason, r.RemoteMTA, r.RemoteReply = f.status, f.reason, f.mta, f.reply
	j.results = append(j.results, r)
}

// delivered is a 2xx after the content.
func (j *job) delivered(pos int, reply *wire.Reply, text string, s *session) {
	j.left = without(j.left, pos)
	r := j.result(pos, s)
	r.State = mail.Delivered
	r.Status = mail.Status{Code: reply.Code, Enhanced: reply.Status(), Text: text}
	r.Reason, r.RemoteReply, r.RemoteMTA = text, text, s.host.name
	r.DSNPassed = s.offers(extDSN)
	r.Relayed = s.proto == protoSMTP || !s.set.AssumeFinal
	j.results = append(j.results, r)
}

func (j *job) result(pos int, s *session) mail.Result {
	r := mail.Result{Rcpt: j.a.Rcpts[pos], Agent: j.agent, Relay: "none"}
	now := j.set.Now()
	if s != nil {
		r.Relay, r.ConnUse = s.relay, s.uses
	}
	if j.set.LogTLSStatus {
		r.TLS = j.tlsStatus(s)
	}
	if j.setup.IsZero() { // all the time went into finding a connection
		r.Connected = now.Sub(j.began)
	} else {
		r.Connected, r.Transmitted = j.setup.Sub(j.began), now.Sub(j.setup)
	}
	return r
}

// nextHost makes those set aside left again.
func (j *job) nextHost() {
	j.left = append(j.left, j.aside...)
	j.aside = j.aside[:0]
	slices.Sort(j.left)
	if len(j.left) > 0 {
		j.setup = time.Time{}
	}
}

// finish decides those whom no host has decided, and tells how the destination did.
func (j *job) finish() ([]mail.Result, mail.Feedback) {
	j.nextHost()
	if len(j.left) > 0 {
		if j.why == nil {
			j.why = siteFailure(mail.Code(4, 3, 0), "server unavailable or unable to receive mail")
		}
		j.fail(j.why, nil)
	}
	if j.turnedAway || j.unwell && !j.complete {
		return j.results, mail.FeedbackBad
	}
	return j.results, mail.FeedbackGood
}

func without(list []int, n int) []int {
	if i := slices.Index(list, n); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}
