package queue

import (
	"context"

	"aliasmx/internal/mail"
)

// Reports of success (RFC 3461) about mail that never was in the queue. They become messages
// of their own before the client has its reply.

// tellSuccess reports of a message that all have.
func (r *relay) tellSuccess(ctx context.Context) {
	p := pending{}
	for _, l := range r.legs {
		p.results = append(p.results, l.reported()...)
		p.expand = append(p.expand, l.rcpts...)
	}
	r.tell(ctx, mail.ReportExpanded, expansions(r.env, []pending{p}))
	r.tellSent(ctx, p.results)
}

// tellExpansion reports of a message that only some have: that aliases led elsewhere, of all
// of it, and of those who have it that they do.
func (r *relay) tellExpansion(ctx context.Context, has map[int]bool) {
	p := pending{}
	var sent []mail.Result
	for _, l := range r.legs {
		p.expand = append(p.expand, l.rcpts...)
		for _, res := range l.reported() {
			if has[res.Rcpt] {
				sent = append(sent, res)
			}
		}
	}
	r.tell(ctx, mail.ReportExpanded, expansions(r.env, []pending{p}))
	r.tellSent(ctx, sent)
}

func (r *relay) tellSent(ctx context.Context, results []mail.Result) {
	for _, kind := range []mail.ReportKind{mail.ReportRelayed, mail.ReportDelivered} {
		r.tell(ctx, kind, successes(r.env, []pending{{results: results}}, kind))
	}
}

// tell has a report written and queued. One that cannot be is lost: what it is about is done.
func (r *relay) tell(ctx context.Context, kind mail.ReportKind, results []mail.Result) {
	q := r.q
	notices, err := q.report(kind, r.env, r.body, results)
	for _, n := range notices {
		if err == nil {
			err = q.post(context.WithoutCancel(ctx), r.env.ID, n)
		}
	}
	if err != nil {
		q.warn("trace service failure; a report is lost", err, idAttr(r.env.ID))
	}
}

// post makes a message of a report.
func (q *Queue) post(ctx context.Context, about mail.QueueID, n notice) error {
	s, err := q.store.Stage(ctx)
	if err != nil {
		return err
	}
	defer s.Abort()
	if _, err := s.Write(n.Body); err != nil {
		return err
	}
	jobs, err := s.Commit(ctx, n.Env)
	if err != nil {
		return err
	}
	q.logNotice(about, n)
	if len(jobs) > 0 {
		q.perform(q.arrive(n.Env, jobs))
	}
	return nil
}
