package queue

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"aliasmx/internal/mail"
)

// scrap is a body in memory that is of no more use once it is torn up.
type scrap []byte

func (s scrap) Size() int64                  { return int64(len(s)) }
func (s scrap) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(s)), nil }

// Whoever reads while the message moves into the store gets the bytes that it has.
func TestMovingBody(t *testing.T) {
	store := scrap("0123456789")
	for at := range len(store) + 1 {
		draft := scrap("0123456789")
		b := &movingBody{size: 10, body: draft, load: func() (mail.Body, error) { return store, nil }}
		r, err := b.Open()
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, at)
		if _, err := io.ReadFull(r, first); err != nil {
			t.Fatal(err)
		}
		err = b.move(func() error {
			copy(draft, "torn up!!!") // the draft's memory is somebody else's now
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		b.end() // says nothing of what is in the store
		rest, err := io.ReadAll(r)
		if got := string(first) + string(rest); err != nil || got != "0123456789" {
			t.Errorf("after %d: %q, %v", at, got, err)
		}
		again, err := b.Open()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(again); string(got) != "0123456789" || err != nil {
			t.Errorf("opened after it: %q, %v", got, err)
		}
		if r.Close() != nil || again.Close() != nil || b.Size() != 10 {
			t.Error("it does not close")
		}
	}
}

// Of a message that is not kept nothing is read any more.
func TestMovingBodyEnds(t *testing.T) {
	broken := errors.New("broken")
	for name, end := range map[string]func(*movingBody) error{
		"dropped":           func(b *movingBody) error { b.end(); return nil },
		"not committed":     func(b *movingBody) error { return b.move(func() error { return broken }) },
		"not in the store":  func(b *movingBody) error { return b.move(func() error { return nil }) },
		"dropped, opened":   func(b *movingBody) error { b.end(); b.end(); return nil },
		"committed, no end": func(b *movingBody) error { err := b.move(func() error { return nil }); b.end(); return err },
	} {
		b := &movingBody{size: 4, body: scrap("text"), load: func() (mail.Body, error) { return nil, broken }}
		r, err := b.Open()
		if err != nil {
			t.Fatal(err)
		}
		if err := end(b); (err == broken) != (name == "not committed") {
			t.Errorf("%s: %v", name, err)
		}
		if n, err := r.Read(make([]byte, 4)); n != 0 || err != errBodyGone {
			t.Errorf("%s: read %d bytes, %v", name, n, err)
		}
		if _, err := b.Open(); err != errBodyGone {
			t.Errorf("%s: opened, %v", name, err)
		}
	}
}
