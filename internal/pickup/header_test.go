package pickup

import (
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// What becomes of the header, by the settings that have a say in it.
func TestHeader(t *testing.T) {
	id := mail.QueueID(1)
	added := "Message-Id: <20251101100000." + id.String() + "@mx.example.com>\nDate: Sat,  1 Nov 2025 10:00:00 +0000 (UTC)\n"
	for _, tc := range []struct {
		name    string
		change  func(*Options)
		gateway bool
		full    string
		body    string
		want    string
	}{
		{"ours", func(o *Options) { o.RemoteHeaderDomain = "remote.invalid" }, false, "",
			"To: bob\nFrom: x\n\n", "To: bob@mx.example.com\nFrom: x@mx.example.com\n" + added + "\n"},
		{"sendmail -G", nil, true, "", "To: bob\n\n", "To: bob\n\n"},
		{"sendmail -G, remote_header_rewrite_domain", func(o *Options) { o.RemoteHeaderDomain = "remote.invalid" }, true, "",
			"To: bob, a@b\n\n", "To: bob@remote.invalid, a@b\n" + added + "From: s@x.example\n\n"},
		{"sendmail -G, always_add_missing_headers", func(o *Options) { o.AlwaysAddMissingHeaders = true }, true, "",
			"To: bob\n\n", "To: bob\n" + added + "From: s@x.example\n\n"},
		{"header_from_format = obsolete", func(o *Options) { o.HeaderFromObsolete = true }, false, "Joe Q. User",
			"X: y\n\n", "X: y\n" + added + "From: s@x.example (Joe Q. User)\n\n"},
		{"header_address_token_limit", func(o *Options) { o.HeaderTokenLimit = 1 }, false, "",
			"From: bob, ann\n\n", "From: bob@mx.example.com\n" + added + "\n"},
		{"header_size_limit", func(o *Options) { o.HeaderSizeLimit = 20 }, false, "",
			"From: bob, ann and others\n\n", "From: bob, ann and others\n" + added + "\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := start(t, nil, tc.change)
			req := Request{Sender: mail.SplitAddress("s@x.example"), Gateway: tc.gateway, FullName: tc.full, Rcpts: addresses("r@x.example")}
			if reply, err := f.submit(t, req, tc.body); err != nil || reply.Status != ExitOK {
				t.Fatalf("%+v, %v", reply, err)
			}
			msgs, _ := f.queue.state()
			if want := strings.ReplaceAll(tc.want, "\n", "\r\n"); msgs[0].body != want {
				t.Errorf("got\n%q\nwant\n%q", msgs[0].body, want)
			}
		})
	}
}

// A table that cannot answer: the submitter is to come again, whenever it is noticed.
func TestHeaderLookupFails(t *testing.T) {
	f := start(t, nil, nil)
	for _, body := range []string{"To: trouble\nSubject: x\n\n" + strings.Repeat("body\n", 1000), "To: trouble\n"} {
		reply, err := f.submit(t, Request{Rcpts: addresses("r@x.example")}, body)
		if want := (Reply{Status: ExitTempFail, Text: "Temporary lookup failure"}); err != nil || reply != want {
			t.Errorf("got %+v, %v; want %+v", reply, err, want)
		}
	}
	if msgs, _ := f.queue.state(); len(msgs) != 0 {
		t.Errorf("%d messages in the queue", len(msgs))
	}
}
