package pickup

import (
	"bytes"
	"reflect"
	"testing"

	"aliasmx/internal/mail"
)

func TestRequestRoundTrip(t *testing.T) {
	for _, r := range []Request{
		{},
		{Sender: mail.Address{Local: "a@b = c", Domain: "x.example"}, FullName: "Jür=gen\n", EnvID: "e=1", Ret: "FULL",
			Notify: mail.NotifySuccess | mail.NotifyDelay, EightBit: true, Gateway: true},
		{Sender: mail.Address{Local: "\xff"}, Notify: mail.NotifyNever, Ret: "HDRS", SevenBit: true},
	} {
		got, mode, err := parseRequest(r.encode(modeSubmit))
		if err != nil || mode != modeSubmit || !reflect.DeepEqual(got, r) {
			t.Errorf("got %+v, %q, %v; want %+v", got, mode, err, r)
		}
	}
}

func TestReplyRoundTrip(t *testing.T) {
	for _, r := range []Reply{{}, {Status: ExitTempFail, Text: "a = b\nc"}, {ID: 12345}} {
		if got, err := parseReply(r.encode()); err != nil || got != r {
			t.Errorf("got %+v, %v; want %+v", got, err, r)
		}
	}
	for _, bad := range []string{"", "text=x\x00", "status=x\x00", "status=300\x00", "status=0\x00id=nonsense\x00"} {
		if got, err := parseReply([]byte(bad)); err == nil {
			t.Errorf("%q: got %+v, want an error", bad, got)
		}
	}
}

// What is taken for a request means the same when it is written down again, and holds
// nothing that could end a line of SMTP.
func FuzzParseRequest(f *testing.F) {
	r := Request{Sender: mail.SplitAddress("s@x.example"), FullName: "n", EnvID: "e", Ret: "HDRS", Notify: mail.NotifyNever}
	f.Add([]byte(r.encode(modeSubmit)))
	f.Add([]byte(r.encode(modeSMTP)))
	f.Add([]byte("version=1\x00mode=submit\x00gateway=T\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, mode, err := parseRequest(b)
		if err != nil {
			return
		}
		if bytes.ContainsAny([]byte(r.Sender.Internal()+r.EnvID+r.Ret), "\r\n\x00") {
			t.Errorf("%q was taken: %+v", b, r)
		}
		again, mode2, err := parseRequest(r.encode(mode))
		if err != nil || mode2 != mode || !reflect.DeepEqual(again, r) {
			t.Errorf("%q: got %+v, then %+v, %v", b, r, again, err)
		}
	})
}

func FuzzParseRcpts(f *testing.F) {
	f.Add([]byte("a\x00b.example\x00postmaster\x00\x00"))
	f.Add([]byte("\x00\x00"))
	f.Add([]byte("a@b\x00c\x00half"))
	f.Fuzz(func(t *testing.T, b []byte) {
		rcpts, err := parseRcpts(b)
		if err != nil {
			return
		}
		var again []byte
		for _, a := range rcpts {
			if bytes.ContainsAny([]byte(a.Internal()), "\r\n\x00") {
				t.Errorf("%q was taken: %+v", b, a)
			}
		}
		err = encodeRcpts(rcpts, func(p []byte) error {
			if len(p) > maxFrame {
				t.Errorf("a frame of %d bytes", len(p))
			}
			again = append(again, p...)
			return nil
		})
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%q came back as %q, %v", b, again, err)
		}
	})
}
