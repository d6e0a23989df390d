package queue

import (
	"context"
	"errors"
	"io"
	"sync"

	"aliasmx/internal/mail"
)

// errBodyGone is content that nobody is to read any more: the message was given up.
var errBodyGone = errors.New("the message is not kept")

// movingBody is the content of a message that is relayed while its client waits: that of the
// draft at first, that of the store once the message is there, and nothing when it is not
// kept. Whoever reads it over that moment gets the same bytes or an error: attempts that
// were given up may still be reading when the draft ends.
type movingBody struct {
	size int64
	load func() (mail.Body, error) // of the store

	mu    sync.RWMutex // held for writing while the message moves
	body  mail.Body    // nil: gone
	moved bool
}

// Size implements mail.Body.
func (b *movingBody) Size() int64 { return b.size }

// Open implements mail.Body.
func (b *movingBody) Open() (io.ReadCloser, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	r, err := b.open()
	if err != nil {
		return nil, err
	}
	return &movingReader{b: b, r: r, moved: b.moved}, nil
}

// open needs b.mu.
func (b *movingBody) open() (io.ReadCloser, error) {
	if b.body == nil {
		return nil, errBodyGone
	}
	return b.body.Open()
}

// move runs commit, which ends the draft, and takes the content from where it is then.
func (b *movingBody) move(commit func() error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.body = nil
	if err := commit(); err != nil {
		return err
	}
	body, err := b.load()
	if err == nil {
		b.body, b.moved = body, true
	}
	return nil // without content nobody can go on, but the message is kept
}

// end: the draft is about to end, and the message is not kept.
func (b *movingBody) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.moved {
		b.body = nil
	}
}

// movingReader is used by one goroutine.
type movingReader struct {
	b     *movingBody
	r     io.ReadCloser
	moved bool
	at    int64
}

// Read implements io.Reader.
func (m *movingReader) Read(p []byte) (int, error) {
	m.b.mu.RLock()
	defer m.b.mu.RUnlock()
	if m.b.body == nil {
		return 0, errBodyGone
	}
	if m.moved != m.b.moved {
		if err := m.follow(); err != nil {
			return 0, err
		}
	}
	n, err := m.r.Read(p)
	m.at += int64(n)
	return n, err
}

// follow goes on in the store, where the draft was left.
func (m *movingReader) follow() error {
	r, err := m.b.open()
	if err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, r, m.at); err != nil {
		r.Close()
		return err
	}
	m.r.Close()
	m.r, m.moved = r, m.b.moved
	return nil
}

// Close implements io.Closer.
func (m *movingReader) Close() error { return m.r.Close() }

// loadBody is the content of a message in the store.
func (q *Queue) loadBody(id mail.QueueID) (mail.Body, error) {
	_, body, err := q.store.Load(context.WithoutCancel(q.ctx), id)
	return body, err
}
