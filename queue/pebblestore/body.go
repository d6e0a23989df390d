package pebblestore

import (
	"fmt"
	"hash/crc32"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// memBody is a body in memory: as it came in, in chunks, or as it was read back. It
// is not changed any more once somebody else has it.
type memBody struct {
	chunks [][]byte
	size   int64
}

var _ mail.Body = (*memBody)(nil)

func bodyOf(b []byte) *memBody { return &memBody{chunks: [][]byte{b}, size: int64(len(b))} }

// Chunks of a body that comes in grow from the first size to the second: most mail is
// small, and what is not should not be many pieces.
const (
	firstChunk = 4 << 10
	lastChunk  = 64 << 10
)

// append adds a copy of p.
func (b *memBody) append(p []byte) {
	b.size += int64(len(p))
	for len(p) > 0 {
		n := len(b.chunks)
		if n == 0 || len(b.chunks[n-1]) == cap(b.chunks[n-1]) {
			size := firstChunk
			if n > 0 {
				size = min(2*cap(b.chunks[n-1]), lastChunk)
			}
			b.chunks = append(b.chunks, make([]byte, 0, size))
			n++
		}
		c := b.chunks[n-1]
		k := min(len(p), cap(c)-len(c))
		b.chunks[n-1] = append(c, p[:k]...)
		p = p[k:]
	}
}

// copyTo copies the body into one piece of memory of its size.
func (b *memBody) copyTo(p []byte) {
	for _, c := range b.chunks {
		p = p[copy(p, c):]
	}
}

// Size implements mail.Body.
func (b *memBody) Size() int64 { return b.size }

// Open implements mail.Body.
func (b *memBody) Open() (io.ReadCloser, error) { return &memReader{chunks: b.chunks}, nil }

// memReader reads a body in memory. It is used by one goroutine.
type memReader struct {
	chunks [][]byte
	at     int // in the first chunk
}

func (r *memReader) Read(p []byte) (int, error) {
	for len(r.chunks) > 0 {
		c := r.chunks[0][r.at:]
		if len(c) == 0 {
			r.chunks, r.at = r.chunks[1:], 0
			continue
		}
		n := copy(p, c)
		r.at += n
		return n, nil
	}
	return 0, io.EOF
}

// WriteTo implements io.WriterTo: the chunks go out without being copied.
func (r *memReader) WriteTo(w io.Writer) (int64, error) {
	var sum int64
	for len(r.chunks) > 0 {
		n, err := w.Write(r.chunks[0][r.at:])
		sum += int64(n)
		r.at += n
		if err != nil {
			return sum, err
		}
		r.chunks, r.at = r.chunks[1:], 0
	}
	return sum, nil
}

func (r *memReader) Close() error { r.chunks = nil; return nil }

// fileBody is a body in a file.
type fileBody struct {
	fs   vfs.FS
	path string
	size int64
	crc  uint32
}

var _ mail.Body = (*fileBody)(nil)

// Size implements mail.Body.
func (b *fileBody) Size() int64 { return b.size }

// Open implements mail.Body. The reader checks what it reads: where the body should
// end it reports queue.ErrCorrupt instead of io.EOF if these are not the bytes that
// were stored, so that a client that streams it does not send the final dot.
func (b *fileBody) Open() (io.ReadCloser, error) {
	f, err := b.fs.Open(b.path, vfs.SequentialReadsOption)
	if err != nil {
		return nil, fmt.Errorf("open body: %w", err)
	}
	return &fileReader{body: b, file: f}, nil
}

// check reads the body through.
func (b *fileBody) check() error {
	r, err := b.Open()
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, make([]byte, lastChunk))
	_ = r.Close()
	return err
}

// fileReader reads a body in a file. It is used by one goroutine.
type fileReader struct {
	body *fileBody
	file vfs.File
	size int64
	crc  uint32
}

func (r *fileReader) Read(p []byte) (int, error) {
	n, err := r.file.Read(p)
	r.size += int64(n)
	r.crc = crc32.Update(r.crc, castagnoli, p[:n])
	switch {
	case err == io.EOF && (r.size != r.body.size || r.crc != r.body.crc):
		return n, &mismatch{r.size, r.body.size, r.crc, r.body.crc}
	case err != nil && err != io.EOF:
		return n, fmt.Errorf("read body: %w", err)
	}
	return n, err
}

func (r *fileReader) Close() error { return r.file.Close() }

// checkBytes tells whether b is the body that an envelope speaks of.
func checkBytes(b []byte, env *mail.Envelope) error {
	if crc := crc32.Checksum(b, castagnoli); int64(len(b)) != env.Size || crc != env.CRC {
		return &mismatch{int64(len(b)), env.Size, crc, env.CRC}
	}
	return nil
}

// mismatch is the error that a body is not what was stored.
type mismatch struct {
	size, wantSize int64
	crc, wantCRC   uint32
}

func (m *mismatch) Error() string {
	return fmt.Sprintf("body has %d bytes with checksum %08x, want %d with %08x", m.size, m.crc, m.wantSize, m.wantCRC)
}

func (m *mismatch) Unwrap() error { return queue.ErrCorrupt }

var _ io.WriterTo = (*memReader)(nil)
