package queue

import (
	"testing"
	"time"

	"aliasmx/internal/mail"
)

// What replies have asked for is shown.
func TestStatusSpacing(t *testing.T) {
	sc := newScript(t, Params{})
	q := &Queue{sched: sc.s, now: func() time.Time { return sc.now }}
	sc.tell(evArrived{sc.jobs("a", 1)}, "start 1 a job 1")
	if s := q.Status(1); s.Busiest[0].Spacing != 0 {
		t.Errorf("nobody has asked: %+v", s.Busiest)
	}
	slow := done(1, bad)
	slow.conn = 1
	slow.reply = trouble{status: mail.Status{Code: 421, Enhanced: mail.Code(4, 7, 28), Text: "unusual rate of mail"}}
	sc.tell(slow, "")
	if s := q.Status(1); len(s.Busiest) != 1 || s.Busiest[0].Spacing != leastSpacing*3/2 {
		t.Errorf("%+v", s.Busiest)
	}
}
