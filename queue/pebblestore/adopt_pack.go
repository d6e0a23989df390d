package pebblestore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// parcel is a message on its way from the source.
type parcel struct {
	old, id mail.QueueID // there and here
	before  bool         // it is here already: it has to be removed there

	m   *message // as it will be here; nil: it is corrupt
	raw []byte   // envelope record, or that of the corrupt message

	body     *memBody   // or
	file     *spoolFile // or neither: a corrupt message may have no body
	bodyLeft bool       // it could not be read
}

func (p *parcel) inMemory() int64 {
	n := int64(len(p.raw)) + 256
	if p.body != nil {
		n += p.body.size
	}
	return n
}

// pack reads a message of the source whole, and checks it. What is damaged goes to the
// source's corrupt queue first, as ever, and is taken from there. Nil: there is no
// message, only remains of which nobody can say what they were; they stay, and are told.
func (a *adoption) pack(id mail.QueueID) (*parcel, error) {
	src := a.source
	origin, err := a.taker.value(originKey(src.identity, id))
	if err != nil {
		return nil, err
	}
	if len(origin) == 9 {
		return &parcel{old: id, before: true, bodyLeft: origin[8] == originBodyLeft}, nil
	}
	p := &parcel{old: id}
	corrupt, err := src.read(keyCorrupt, id)
	if errors.Is(err, queue.ErrNotFound) {
		if err = a.packMessage(p); err == nil {
			return p, nil
		}
		p.drop()
		d, damaged := asDamage(err)
		if !damaged {
			return nil, err
		}
		if err := src.quarantine(d); errors.Is(err, queue.ErrNotFound) {
			a.left(id, "it has neither envelope nor recipients: "+d.reason)
			return nil, nil
		} else if !errors.Is(err, queue.ErrCorrupt) {
			return nil, err
		}
		corrupt, err = src.read(keyCorrupt, id)
	}
	if d, damaged := asDamage(err); damaged {
		corrupt, err = encodeCorrupt(d.reason, nil), nil
	}
	if err != nil {
		return nil, err
	}
	return p, a.packCorrupt(p, corrupt)
}

// left tells that something stays behind.
func (a *adoption) left(id mail.QueueID, what string) {
	a.add(func(sum *mail.Adoption) { sum.Left++ })
	a.taker.log.Error(fmt.Sprintf("adopting %s: of message %s something stays there: %s", a.source.opts.Dir, id, what))
}

// packMessage packs a message that is not corrupt, or says what is wrong with it.
func (a *adoption) packMessage(p *parcel) error {
	src := a.source
	src.mu.Lock()
	there, err := src.get(p.old)
	src.mu.Unlock()
	if errors.Is(err, queue.ErrNotFound) {
		return &damage{p.old, "nothing is known of its recipients"}
	}
	if err != nil {
		return err
	}
	if p.raw, err = src.read(keyMessage, p.old); errors.Is(err, queue.ErrNotFound) {
		return &damage{p.old, "its envelope is missing"}
	} else if err != nil {
		return err
	}
	env, err := decodeEnvelope(p.raw)
	if err == nil && env.ID != p.old {
		err = fmt.Errorf("it is the envelope of %s", env.ID)
	}
	if err != nil {
		return &damage{p.old, "envelope: " + err.Error()}
	}
	if p.m, err = copyMessage(there, env); err != nil {
		return err
	}
	if err := a.name(p, env); err != nil {
		return err
	}
	return a.packBody(p, env)
}

// copyMessage makes of a message of the source one that is on its way into this queue.
func copyMessage(there *message, env *mail.Envelope) (*message, error) {
	m := &message{id: there.id, arrived: there.arrived, held: there.held, next: there.next}
	for _, j := range there.jobs {
		if n := len(j.rcpts); n == 0 || j.rcpts[n-1] >= len(env.Rcpts) {
			return nil, &damage{there.id, fmt.Sprintf("job %d is about recipients that the envelope does not have", j.n)}
		}
		c := *j
		c.claimed, c.busy, c.gone = false, 0, false
		c.stored, c.indexed, c.indexAt, c.dirty = false, false, 0, true
		m.jobs = append(m.jobs, &c)
	}
	return m, nil
}

// name gives the message its ID in this queue. An ID that this process may have given out
// is not free, even if there is no message: one may be on its way. One of the future is not
// either: this queue's own IDs would have to go on from there.
func (a *adoption) name(p *parcel, env *mail.Envelope) error {
	t := a.taker
	next := t.ids.Next()
	p.id = p.old
	foreign := p.old.Node() != t.opts.Node
	if free := p.old < next && (foreign || p.old < t.firstID) && !t.known(p.old); !free {
		p.id = next
	}
	if p.m != nil {
		p.m.id = p.id
	}
	if env != nil && p.id != p.old {
		env.ID = p.id
		p.raw = encodeEnvelope(env)
	}
	return t.space.admit(p.inMemory())
}

// packBody reads the body and checks it. It becomes a file here, or not, by this queue's
// own limit.
func (a *adoption) packBody(p *parcel, env *mail.Envelope) error {
	src, t := a.source, a.taker
	if err := t.space.admit(env.Size); err != nil {
		return err
	}
	body, err := src.loadBody(&mail.Envelope{ID: p.old, Size: env.Size, CRC: env.CRC}, true)
	if err != nil {
		return err
	}
	if err = a.fetch(p, body, env.Size); err == nil {
		p.m.file = p.file != nil
		return nil
	}
	if d, ok := errors.AsType[*unreadable](err); ok && d.hopeless() {
		return &damage{p.old, d.Error()}
	}
	return err
}

// unreadable is an error of the source, in reading a body.
type unreadable struct{ error }

func (u *unreadable) Unwrap() error { return u.error }

// hopeless tells whether another try would bring the same.
func (u *unreadable) hopeless() bool { return isDamaged(u) || errors.Is(u, syscall.EIO) }

// sourceReader marks the errors of the source.
type sourceReader struct{ io.Reader }

func (r sourceReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = &unreadable{err}
	}
	return n, err
}

// fetch copies a body of the source.
func (a *adoption) fetch(p *parcel, body mail.Body, size int64) error {
	t := a.taker
	if mem, ok := body.(*memBody); ok && size <= t.opts.InlineLimit {
		p.body = mem
		return nil
	}
	file, err := body.Open()
	if err != nil {
		return &unreadable{err}
	}
	defer file.Close()
	r := sourceReader{file}
	if size <= t.opts.InlineLimit {
		var b bytes.Buffer
		if _, err := io.Copy(&b, r); err != nil {
			return err
		}
		p.body = bodyOf(b.Bytes())
		return nil
	}
	if p.file, err = t.spool.create(); err != nil {
		return err
	}
	if _, err := io.CopyBuffer(fileSink{p.file, t.space}, r, make([]byte, lastChunk)); err != nil {
		return err
	}
	if err := p.file.place(p.id); err != nil {
		if errors.Is(err, errSync) {
			t.fail(err)
		}
		return err
	}
	return nil
}

// fileSink counts what goes to a file as space that is used.
type fileSink struct {
	*spoolFile
	space *space
}

func (f fileSink) Write(p []byte) (int, error) {
	f.space.wrote(int64(len(p)))
	return f.spoolFile.Write(p)
}

// packCorrupt packs what there is of a corrupt message.
func (a *adoption) packCorrupt(p *parcel, record []byte) error {
	p.raw, p.m, p.file, p.body = record, nil, nil, nil
	if err := a.name(p, nil); err != nil {
		return err
	}
	reason, envelope := decodeCorrupt(record)
	if p.id != p.old {
		if env, err := decodeEnvelope(envelope); err == nil && env.ID == p.old {
			env.ID = p.id
			p.raw = encodeCorrupt(reason, encodeEnvelope(env))
		}
	}
	err := a.packCorruptBody(p)
	if err == nil {
		return nil
	}
	p.drop()
	u, ok := errors.AsType[*unreadable](err)
	if _, damaged := asDamage(err); damaged || ok && u.hopeless() {
		p.bodyLeft = true
		a.left(p.old, fmt.Sprintf("its body, which cannot be read: %v", err))
		return nil
	}
	return err
}

// packCorruptBody copies the body of a corrupt message, as it is.
func (a *adoption) packCorruptBody(p *parcel) error {
	src, t := a.source, a.taker
	b, err := src.read(keyBody, p.old)
	if err == nil {
		p.body = bodyOf(b)
		return t.space.admit(int64(len(b)))
	}
	if !errors.Is(err, queue.ErrNotFound) {
		return err
	}
	info, err := src.spool.fs.Stat(src.spool.path(p.old))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // that is why it is corrupt
	}
	if err != nil {
		return &unreadable{err}
	}
	if err := t.space.admit(info.Size()); err != nil {
		return err
	}
	return a.fetch(p, rawFile{src.spool.fs, src.spool.path(p.old), info.Size()}, max(info.Size(), t.opts.InlineLimit+1))
}

// rawFile is a body in a file of which nobody knows what it should be.
type rawFile struct {
	fs   vfs.FS
	path string
	size int64
}

func (f rawFile) Size() int64                  { return f.size }
func (f rawFile) Open() (io.ReadCloser, error) { return f.fs.Open(f.path, vfs.SequentialReadsOption) }

// drop gives up what was packed of the body.
func (p *parcel) drop() {
	if p.file != nil {
		p.file.abort()
	}
	p.file, p.body = nil, nil
}
