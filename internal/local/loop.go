package local

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// deliveredLimit bounds how many Delivered-To fields are looked at.
const deliveredLimit = 1000

// readDeliveredTo notes the addresses that the message has been delivered to before:
// whoever forwards it to one of them again makes a loop (delivered_hdr(3)).
func (d *delivery) readDeliveredTo() error {
	d.delivered = make(map[string]bool)
	m, err := message(d.a)
	if err != nil {
		return err
	}
	defer m.Close()
	r := bufio.NewReaderSize(m, 4096)
	for len(d.delivered) < deliveredLimit {
		line, err := r.ReadSlice('\n')
		whole := line
		for errors.Is(err, bufio.ErrBufferFull) { // the rest of a very long line
			whole = append([]byte(nil), whole...)
			_, err = r.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if len(bytes.TrimRight(whole, "\r\n")) == 0 {
			return nil
		}
		if address, ok := deliveredTo(whole); ok {
			d.delivered[strings.ToLower(address)] = true
		} else if !isHeaderLine(whole) {
			return nil
		}
		if err != nil {
			return nil
		}
	}
	return nil
}

// deliveredTo reads a Delivered-To field.
func deliveredTo(line []byte) (address string, ok bool) {
	const name = "delivered-to:"
	if len(line) < len(name) || !strings.EqualFold(string(line[:len(name)]), name) {
		return "", false
	}
	return string(bytes.TrimSpace(line[len(name):])), true
}

// isHeaderLine tells whether a line belongs to a header: a field, or more of one.
func isHeaderLine(line []byte) bool {
	if line[0] == ' ' || line[0] == '\t' {
		return true
	}
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return false
	}
	for _, c := range bytes.TrimRight(line[:colon], " \t") {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}
