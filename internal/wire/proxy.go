package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// The PROXY protocol, versions 1 and 2: what a proxy such as HAProxy says first on a
// connection that it passes on, and from whom (the specification is HAProxy's
// proxy-protocol.txt). A handshake of TLS or commands may follow in the same packet, and
// so not one byte beyond the header is read.
//
// It is our own since github.com/pires/go-proxyproto (0.15.0 is the last that builds with
// our Go) does not verify the checksum of version 2 nor keep what it is computed over,
// refuses a header of version 1 that comes in two packets, and reads through a buffer
// that would keep what belongs to TLS.

// ProxyHeader is what a proxy says of a connection.
type ProxyHeader struct {
	// Local: the proxy speaks for itself, to see whether we are there. It names nobody.
	Local          bool
	Client, Server netip.AddrPort
}

// ProxyError is a header that is none, or one that says nothing we could use.
type ProxyError struct {
	Reason string // in Postfix's words, where it has them
	Read   []byte // what has come of it
}

func (e *ProxyError) Error() string { return e.Reason }

const (
	proxyV1     = "PROXY "
	proxyV2     = "\r\n\r\n\x00\r\nQUIT\n"
	proxyMostV1 = 107 // the longest line of version 1, with its CRLF
	proxyMostV2 = 4 << 10
	proxyFixed  = 16 // of version 2: signature, command, family, length
)

// ReadProxyHeader reads one header. It reads exactly that, if it is one, and no more than
// proxyFixed+proxyMostV2 bytes in any case. An error of the reader is returned as it is;
// io.EOF means that nothing has come, io.ErrUnexpectedEOF that the header was cut off.
// Anything else that is wrong is a *ProxyError.
func ReadProxyHeader(r io.Reader) (ProxyHeader, error) {
	// Both signatures begin headers longer than this.
	b, err := proxyStart(r, make([]byte, 0, len(proxyV2)))
	switch {
	case err != nil:
		return ProxyHeader{}, err
	case string(b) == proxyV2:
		return readProxyV2(r, b)
	}
	return readProxyV1(r, b)
}

// proxyStart reads as many bytes as the shorter signature and what follows it may be
// read without reading too much, and stops at the first that neither version has.
func proxyStart(r io.Reader, b []byte) ([]byte, error) {
	for len(b) < cap(b) {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if !strings.HasPrefix(proxyV2, string(b)) && !strings.HasPrefix(proxyV1, string(b[:min(len(b), len(proxyV1))])) {
			return b, &ProxyError{"unrecognized protocol header", b}
		}
		if err != nil && len(b) < cap(b) {
			return b, cutOff(err, b)
		}
	}
	return b, nil
}

// cutOff is a failed read after b.
func cutOff(err error, b []byte) error {
	if errors.Is(err, io.EOF) && len(b) > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readProxyV1 reads the rest of a line, a byte at a time: nobody says how long it is.
func readProxyV1(r io.Reader, b []byte) (ProxyHeader, error) {
	for b[len(b)-1] != '\n' {
		if len(b) == proxyMostV1 {
			return ProxyHeader{}, &ProxyError{"missing protocol header terminator", b}
		}
		var one [1]byte
		if _, err := io.ReadFull(r, one[:]); err != nil {
			return ProxyHeader{}, cutOff(err, b)
		}
		b = append(b, one[0])
	}
	h, reason := parseProxyV1(string(b))
	if reason != "" {
		return ProxyHeader{}, &ProxyError{reason, b}
	}
	return h, nil
}

// parseProxyV1 reads "PROXY TCP4 client server port port\r\n". UNKNOWN is refused, as
// Postfix does: it would get a client past every restriction on addresses.
func parseProxyV1(line string) (h ProxyHeader, reason string) {
	line, ok := strings.CutSuffix(line, "\r\n")
	if !ok {
		return h, "missing protocol header terminator"
	}
	field := strings.Split(line, " ")
	if len(field) < 2 || field[1] != "TCP4" && field[1] != "TCP6" {
		return h, "bad or missing protocol type"
	}
	field = append(field, make([]string, max(6-len(field), 0))...)
	v6 := field[1] == "TCP6"
	client, ok1 := proxyAddr(field[2], v6)
	server, ok2 := proxyAddr(field[3], v6)
	clientPort, ok3 := proxyPort(field[4])
	serverPort, ok4 := proxyPort(field[5])
	switch {
	case !ok1:
		return h, "bad or missing client address"
	case !ok2:
		return h, "bad or missing server address"
	case !ok3:
		return h, "bad or missing client port"
	case !ok4 || len(field) > 6:
		return h, "bad or missing server port"
	}
	h.Client, h.Server = netip.AddrPortFrom(client, clientPort), netip.AddrPortFrom(server, serverPort)
	return h, ""
}

func proxyAddr(s string, v6 bool) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	return a.Unmap(), err == nil && a.Is6() == v6 && a.Zone() == ""
}

// proxyPort reads a port as it is written in one way only.
func proxyPort(s string) (uint16, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil && strconv.FormatUint(n, 10) == s
}

// readProxyV2 reads what follows the signature of version 2.
func readProxyV2(r io.Reader, b []byte) (ProxyHeader, error) {
	b = append(b, make([]byte, proxyFixed-len(b))...)
	if n, err := io.ReadFull(r, b[len(proxyV2):]); err != nil {
		return ProxyHeader{}, cutOff(err, b[:len(proxyV2)+n])
	}
	size := int(binary.BigEndian.Uint16(b[14:]))
	if size > proxyMostV2 {
		return ProxyHeader{}, &ProxyError{"long version 2 protocol header", b}
	}
	b = append(b, make([]byte, size)...)
	if n, err := io.ReadFull(r, b[proxyFixed:]); err != nil {
		return ProxyHeader{}, cutOff(err, b[:proxyFixed+n])
	}
	h, reason := parseProxyV2(b)
	if reason != "" {
		return ProxyHeader{}, &ProxyError{reason, b}
	}
	return h, nil
}

// parseProxyV2 reads a whole header of version 2. A connection of no known kind (UNSPEC)
// is refused unless it is the proxy's own: see parseProxyV1.
func parseProxyV2(b []byte) (h ProxyHeader, reason string) {
	sizes := map[byte]int{0x00: 0, 0x11: 12, 0x12: 12, 0x21: 36, 0x22: 36, 0x31: 216, 0x32: 216}
	command, family, rest := b[12]&0xf, b[13], b[proxyFixed:]
	size, known := sizes[family]
	switch {
	case b[12]>>4 != 2:
		return h, "unrecognized protocol version"
	case command > 1:
		return h, "bad command in proxy header"
	case command == 0:
		// What the proxy says of itself does not count, and may be anything; a checksum
		// still does.
		if known && size <= len(rest) {
			reason = checkProxyTLVs(b, rest[size:])
		}
		if reason != proxyWrongSum {
			reason = ""
		}
		return ProxyHeader{Local: true}, reason
	case family != 0x11 && family != 0x21:
		return h, "unsupported network protocol"
	case len(rest) < size:
		return h, "short address field"
	}
	n := 4
	if family == 0x21 {
		n = 16
	}
	client, _ := netip.AddrFromSlice(rest[:n])
	server, _ := netip.AddrFromSlice(rest[n : 2*n])
	h.Client = netip.AddrPortFrom(client.Unmap(), binary.BigEndian.Uint16(rest[2*n:]))
	h.Server = netip.AddrPortFrom(server.Unmap(), binary.BigEndian.Uint16(rest[2*n+2:]))
	return h, checkProxyTLVs(b, rest[size:])
}

const proxyWrongSum = "wrong checksum in proxy header"

// proxySum is the type of the TLV that has a CRC32c of the whole header, with zeros in
// its own place.
const proxySum = 0x03

// checkProxyTLVs looks through the type-length-value fields at the end of a header. All
// but the checksum are for others.
func checkProxyTLVs(header, tlvs []byte) (reason string) {
	for len(tlvs) > 0 {
		if len(tlvs) < 3 {
			return "bad field in proxy header"
		}
		size := int(binary.BigEndian.Uint16(tlvs[1:]))
		kind, value := tlvs[0], tlvs[3:]
		if size > len(value) {
			return "bad field in proxy header"
		}
		value, tlvs = value[:size], value[size:]
		if kind != proxySum {
			continue
		}
		if size != 4 {
			return proxyWrongSum
		}
		at := len(header) - len(tlvs) - size
		zeroed := bytes.Clone(header)
		clear(zeroed[at : at+size])
		if crc32.Checksum(zeroed, crc32.MakeTable(crc32.Castagnoli)) != binary.BigEndian.Uint32(value) {
			return proxyWrongSum
		}
	}
	return ""
}
