package admin

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

// What is written by hand is read as what it was.
func FuzzAppendListed(f *testing.F) {
	f.Add(uint64(7), int64(1795376343), int64(318), "a\xff", "b.example", true, "to", `"odd"`, "late <&> \x00\u2028", "smtp:x", uint8(2))
	f.Add(uint64(0), int64(0), int64(0), "", "", false, "", "", "", "", uint8(0))
	f.Fuzz(func(t *testing.T, id uint64, sec, size int64, local, domain string, expired bool, to, orig, reason, dest string, n uint8) {
		at := time.Unix(sec%(1<<37), sec&0xfffff).UTC()
		if at.Year() < 0 || at.Year() > 9999 {
			return
		}
		m := mail.Listed{Queue: "deferred", ID: mail.QueueID(id), Arrived: at, Size: size, Sender: mail.Address{Local: local, Domain: domain}, Expired: expired}
		m.Rcpts = []mail.ListedRcpt{}
		for range n % 4 {
			m.Rcpts = append(m.Rcpts, mail.ListedRcpt{Address: mail.Address{Local: to, Domain: domain}, Orig: orig, Reason: reason, Dest: mail.Dest(dest)})
		}
		b := appendListed(nil, &m)
		var l listedLine
		if err := json.Unmarshal(b, &l); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		got, want := l.mail(), m
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s\ngot  %+v\nwant %+v", b, got, want)
		}
	})
}
