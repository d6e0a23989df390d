package milter

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Packets: four bytes of length, one of code, then data (length counts the code).

var (
	errShortString = errors.New("packet too short for string")
	errNoNUL       = errors.New("missing string null termimator")
	errShortLong   = errors.New("input packet too short for network long")
)

// header reads the length of a packet and its code. n is how long the data is. Whatever is
// wrong is said as Postfix says it of the milter.
func readHead(r *bufio.Reader, event byte) (code byte, n int, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:4]); err != nil {
		return 0, 0, fmt.Errorf("can't read %s reply packet header: %s", nameOf(commandNames, event, "(unknown MTA event)"), reason(err))
	}
	length := binary.BigEndian.Uint32(head[:4])
	switch {
	case length < 1:
		return 0, 0, fmt.Errorf("bad packet length: %d", length)
	case length > maxPacket:
		return 0, 0, fmt.Errorf("unreasonable packet length: %d > %d", length, maxPacket)
	}
	if code, err = r.ReadByte(); err != nil {
		return 0, 0, fmt.Errorf("EOF while reading command code: %s", reason(err))
	}
	return code, int(length) - 1, nil
}

// readData reads the data of a packet.
func readData(r *bufio.Reader, n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("EOF while reading data: %s", reason(err))
	}
	return b, nil
}

// writePacket adds a packet to what is to be sent. Errors come from w.Flush.
func writePacket(w *bufio.Writer, code byte, data ...[]byte) {
	n := 1
	for _, d := range data {
		n += len(d)
	}
	var head [5]byte
	binary.BigEndian.PutUint32(head[:], uint32(n))
	head[4] = code
	w.Write(head[:])
	for _, d := range data {
		w.Write(d)
	}
}

// appendString adds a string and its NUL. A NUL in it would be the beginning of another
// one.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if s[i] == 0 {
			b = append(b, '?')
		} else {
			b = append(b, s[i])
		}
	}
	return append(b, 0)
}

// cutString takes a string off the beginning of data.
func cutString(b []byte) (s string, rest []byte, err error) {
	if len(b) == 0 {
		return "", nil, errShortString
	}
	i := bytes.IndexByte(b, 0)
	if i < 0 {
		return "", nil, errNoNUL
	}
	return string(b[:i]), b[i+1:], nil
}

// cutLong takes a number off the beginning of data.
func cutLong(b []byte) (n uint32, rest []byte, err error) {
	if len(b) < 4 {
		return 0, nil, errShortLong
	}
	return binary.BigEndian.Uint32(b), b[4:], nil
}

// strings reads data that is so many strings and nothing else. The last optional ones may
// be missing, and are empty then.
func cutStrings(b []byte, wanted, optional int) ([]string, error) {
	list := make([]string, wanted+optional)
	for i := range list {
		if i >= wanted && len(b) == 0 {
			break
		}
		var err error
		if list[i], b, err = cutString(b); err != nil {
			return nil, err
		}
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("milter8_read_data: left-over data %d bytes", len(b))
	}
	return list, nil
}
