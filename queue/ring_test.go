package queue

import (
	"fmt"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// What came just now and what the store gave back take turns, and of each, five small
// letters go before one that can wait.
func TestRingTakesTurns(t *testing.T) {
	for _, c := range []struct {
		name, fresh, stored, want string // s is a small job, b one of bulk
	}{
		{"in order of arrival", "sss", "", "f1 f2 f3"},
		{"the store's alone", "", "sbs", "s1 s3 s2"},
		{"in turn", "sss", "sss", "f1 s1 f2 s2 f3 s3"},
		{"more of one", "s", "sss", "f1 s1 s2 s3"},
		{"small before bulk, five to one", "bbsssssss", "", "f3 f4 f5 f6 f7 f1 f8 f9 f2"},
		{"bulk alone", "bbb", "", "f1 f2 f3"},
		{"in turn whatever they are", "bb", "sssss", "f1 s1 f2 s2 s3 s4 s5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &destination{}
			names := map[mail.QueueID]string{}
			for band, jobs := range []string{c.fresh, c.stored} {
				for i, kind := range jobs {
					id := mail.QueueID(len(names) + 1)
					names[id] = fmt.Sprintf("%c%d", "fs"[band], i+1)
					d.push(Job{ID: id, Bulk: kind == 'b'}, band == 1)
				}
			}
			d.site = &site{waiting: d.waiting()}
			var got []string
			for d.waiting() > 0 {
				got = append(got, names[d.pop().ID])
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("got %s, want %s", s, c.want)
			}
			if d.jobs != nil || d.site.waiting != 0 {
				t.Errorf("something is left: %+v, the site counts %d", d.jobs, d.site.waiting)
			}
		})
	}
}

// However much of one kind there is, one of another comes in its turn.
func TestNothingIsHeldUpByAFlood(t *testing.T) {
	d := &destination{site: &site{}}
	for i := range 1000 {
		d.push(Job{ID: mail.QueueID(i + 1)}, false)
	}
	d.push(Job{ID: 2000, Bulk: true}, false)
	d.push(Job{ID: 3000, Bulk: true}, true)
	at := map[mail.QueueID]int{}
	for n := 1; d.waiting() > 0; n++ {
		at[d.pop().ID] = n
	}
	if at[3000] > 2 || at[2000] > 2+smallRun {
		t.Errorf("from the store: %dth, bulk: %dth", at[3000], at[2000])
	}
}
