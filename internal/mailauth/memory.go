package mailauth

import (
	"bytes"
	"io"

	"aliasmx/internal/mail"
)

// smallBody is up to which size, in bytes, a message is held in memory while it is judged.
// Most mail is smaller: it is opened and read once, not for the header, the signatures and
// the chain each.
const smallBody = 64 << 10

// inMemory is a message that has been read. It is at most of smallBody.
type inMemory []byte

// heldInMemory is body, read if it is a small one.
func heldInMemory(body mail.Body) (mail.Body, error) {
	size := body.Size()
	if size > smallBody {
		return body, nil
	}
	r, err := body.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text := make(inMemory, size)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, err
	}
	return text, nil
}

func (text inMemory) Size() int64 { return int64(len(text)) }

func (text inMemory) Open() (io.ReadCloser, error) { return memoryReader{bytes.NewReader(text)}, nil }

// memoryReader has the Len of its bytes.Reader, by which readers choose their buffers.
type memoryReader struct{ *bytes.Reader }

func (memoryReader) Close() error { return nil }

// header is what stands before the first empty line, a part of text.
func (text inMemory) header() []byte {
	n := 0
	for line := range bytes.Lines(text) {
		if endsHeader(line) {
			break
		}
		n += len(line)
	}
	return text[:n:n]
}
