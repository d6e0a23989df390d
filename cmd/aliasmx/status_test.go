package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/admin"
	"aliasmx/internal/mail"
	"aliasmx/queue"
)

func TestStatusDestinations(t *testing.T) {
	until := time.Date(2026, 11, 29, 15, 4, 5, 0, time.Local)
	all := []queue.DestStatus{
		{Dest: "smtp:busy.test", Site: "mx.test", Waiting: 70, Attempts: 3, Connections: 4, Window: 5, Spacing: 1500 * time.Millisecond},
		{Dest: "smtp:new.test", Waiting: 1},
		{Dest: "smtp:idle.test", Site: "idle.test", Window: 5, NextDue: until},
		{Dest: "smtp:dead.test", Site: "dead.test", DeadUntil: until, Reason: "delivery temporarily suspended: connect to dead.test: \x1b[31mrefused" + strings.Repeat("x", 200)},
		{Dest: "smtp:Held.test", Site: "held.test", Window: 5, Reason: "delivery temporarily suspended: destination is on hold"},
		{Dest: "smtp:both.test", Site: "both.test", DeadUntil: until, Reason: "delivery temporarily suspended: destination is on hold"},
	}
	list := busyDestinations(all, []mail.HeldDest{{Dest: "held.test"}, {Dest: "smtp:both.test"}})
	// As it comes over the socket.
	data, err := json.Marshal(admin.Status{Destinations: list})
	var s admin.Status
	if err != nil || json.Unmarshal(data, &s) != nil || strings.Count(string(data), "dead_until") != 2 {
		t.Fatalf("%v, %s", err, data)
	}
	if s.Destinations[2].DeadUntil = s.Destinations[2].DeadUntil.Local(); !reflect.DeepEqual(s.Destinations[:4], list[:4]) {
		t.Errorf("got  %+v\nwant %+v", s.Destinations, list)
	}
	var out strings.Builder
	printDestinations(&out, s.Destinations)
	const want = `
  destination     site       waiting  connections/window  state
  smtp:busy.test  mx.test    70       4/5                 one each 1.5s
  smtp:new.test   -          1        0/0                 -
  smtp:dead.test  dead.test  0        0/0                 suspended until 15:04:05: connect to dead.test: ?[31mrefusedX...
  smtp:Held.test  held.test  0        0/5                 held
  smtp:both.test  both.test  0        0/0                 suspended until 15:04:05, held
`
	if got := strings.ReplaceAll(out.String(), strings.Repeat("x", 66), "X"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	out.Reset()
	printDestinations(&out, nil)
	if out.String() != "" {
		t.Errorf("of none: %q", out.String())
	}
	var many []queue.DestStatus
	for i := range 1000 {
		many = append(many, queue.DestStatus{Dest: mail.Dest(fmt.Sprint("smtp:", i)), Waiting: 1})
	}
	if n := len(busyDestinations(many, nil)); n != admin.StatusDestinations {
		t.Errorf("%d destinations", n)
	}
}
