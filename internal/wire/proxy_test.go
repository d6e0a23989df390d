package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
)

// v2 is a header of version 2.
func v2(command, family byte, rest string) string {
	return proxyV2 + string([]byte{command, family, byte(len(rest) >> 8), byte(len(rest))}) + rest
}

func tlv(kind byte, value string) string {
	return string([]byte{kind, byte(len(value) >> 8), byte(len(value))}) + value
}

// summed is a header of version 2 with a checksum as its last field.
func summed(command, family byte, rest string) string {
	h := []byte(v2(command, family, rest+tlv(proxySum, "\x00\x00\x00\x00")))
	binary.BigEndian.PutUint32(h[len(h)-4:], crc32.Checksum(h, crc32.MakeTable(crc32.Castagnoli)))
	return string(h)
}

const (
	tcp4 = "\xc0\x00\x02\x01\xc6\x33\x64\x02\x30\x39\x00\x19" // 192.0.2.1:12345, 198.51.100.2:25
	tcp6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x30\x39\x00\x19"
	mapped6 = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc6\x33\x64\x02\x30\x39\x00\x19"
)

const both4, both6 = "192.0.2.1:12345 198.51.100.2:25", "[2001:db8::1]:12345 [2001:db8::2]:25"

var proxyHeaders = []struct{ name, header, want string }{
	{"v1, IPv4", "PROXY TCP4 192.0.2.1 198.51.100.2 12345 25\r\n", both4},
	{"v1, IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 12345 25\r\n", both6},
	{"v1, the shortest", "PROXY TCP6 :: :: 0 0\r\n", "[::]:0 [::]:0"},
	{"v1, mapped", "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 12345 25\r\n", both4},
	{"v1, the longest", "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
		"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535 [ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
	{"v1, too long", "PROXY TCP4 192.0.2.1 198.51.100.2 12345 25" + strings.Repeat(" ", 70) + "\r\n", "missing protocol header terminator"},
	{"v1, no end", "PROXY TCP4 192.0.2.1 198.51.100.2 12345 25", "unexpected EOF"},
	{"v1, LF alone", "PROXY TCP4 192.0.2.1 198.51.100.2 12345 25\n", "missing protocol header terminator"},
	{"v1, UNKNOWN", "PROXY UNKNOWN\r\n", "bad or missing protocol type"},
	{"v1, UNKNOWN with addresses", "PROXY UNKNOWN 192.0.2.1 198.51.100.2 12345 25\r\n", "bad or missing protocol type"},
	{"v1, lower case", "PROXY tcp4 192.0.2.1 198.51.100.2 12345 25\r\n", "bad or missing protocol type"},
	{"v1, wrong family", "PROXY TCP4 2001:db8::1 198.51.100.2 12345 25\r\n", "bad or missing client address"},
	{"v1, IPv4 in TCP6", "PROXY TCP6 2001:db8::1 198.51.100.2 12345 25\r\n", "bad or missing server address"},
	{"v1, zone", "PROXY TCP6 fe80::1%eth0 2001:db8::2 12345 25\r\n", "bad or missing client address"},
	{"v1, zeros in front", "PROXY TCP4 192.0.2.01 198.51.100.2 12345 25\r\n", "bad or missing client address"},
	{"v1, port too large", "PROXY TCP4 192.0.2.1 198.51.100.2 65536 25\r\n", "bad or missing client port"},
	{"v1, port with sign", "PROXY TCP4 192.0.2.1 198.51.100.2 12345 +25\r\n", "bad or missing server port"},
	{"v1, port with zero", "PROXY TCP4 192.0.2.1 198.51.100.2 012345 25\r\n", "bad or missing client port"},
	{"v1, two spaces", "PROXY TCP4  192.0.2.1 198.51.100.2 12345 25\r\n", "bad or missing client address"},
	{"v1, one more field", "PROXY TCP4 192.0.2.1 198.51.100.2 12345 25 x\r\n", "bad or missing server port"},
	{"v1, one field less", "PROXY TCP4 192.0.2.1 198.51.100.2 12345\r\n", "bad or missing server port"},
	{"none", "EHLO client.example\r\n", "unrecognized protocol header"},
	{"nearly one", "PROXYTCP4 192.0.2.1 198.51.100.2 12345 25\r\n", "unrecognized protocol header"},
	{"a short command", "QUIT\r\n", "unrecognized protocol header"},
	{"nothing", "", "EOF"},
	{"the beginning of both", "PROX", "unexpected EOF"},

	{"v2, IPv4", v2(0x21, 0x11, tcp4), both4},
	{"v2, IPv6", v2(0x21, 0x21, tcp6), both6},
	{"v2, mapped", v2(0x21, 0x21, mapped6), both4},
	{"v2, fields", v2(0x21, 0x11, tcp4+tlv(0x01, "smtp")+tlv(0x04, "")+tlv(0xee, "x")), both4},
	{"v2, checksum", summed(0x21, 0x11, tcp4+tlv(0x01, "smtp")), both4},
	{"v2, checksum of IPv6", summed(0x21, 0x21, tcp6), both6},
	{"v2, wrong checksum", v2(0x21, 0x11, tcp4+tlv(proxySum, "\x00\x00\x00\x01")), proxyWrongSum},
	{"v2, short checksum", v2(0x21, 0x11, tcp4+tlv(proxySum, "\x00")), proxyWrongSum},
	{"v2, checksum before a field that was changed", strings.Replace(summed(0x21, 0x11, tcp4+tlv(0xee, "x")), "x", "y", 1), proxyWrongSum},
	{"v2, field cut off", v2(0x21, 0x11, tcp4+"\x01\x00\x02x"), "bad field in proxy header"},
	{"v2, half a field", v2(0x21, 0x11, tcp4+"\x01\x00"), "bad field in proxy header"},
	{"v2, local", v2(0x20, 0x00, ""), "local"},
	{"v2, local with addresses", v2(0x20, 0x11, tcp4), "local"},
	{"v2, local with less than its addresses", v2(0x20, 0x11, "abc"), "local"},
	{"v2, local with anything", v2(0x20, 0x00, "\x01\x00\x09x"), "local"},
	{"v2, local with a checksum", summed(0x20, 0x00, ""), "local"},
	{"v2, local with a wrong checksum", v2(0x20, 0x00, tlv(proxySum, "\x00\x00\x00\x01")), proxyWrongSum},
	{"v2, unspecified", v2(0x21, 0x00, ""), "unsupported network protocol"},
	{"v2, UDP", v2(0x21, 0x12, tcp4), "unsupported network protocol"},
	{"v2, unix", v2(0x21, 0x31, strings.Repeat("\x00", 216)), "unsupported network protocol"},
	{"v2, short address", v2(0x21, 0x11, tcp4[:11]), "short address field"},
	{"v2, short IPv6 address", v2(0x21, 0x21, tcp4), "short address field"},
	{"v2, other command", v2(0x22, 0x11, tcp4), "bad command in proxy header"},
	{"v2, other version", v2(0x31, 0x11, tcp4), "unrecognized protocol version"},
	{"v2, largest", v2(0x21, 0x11, tcp4+tlv(0xee, strings.Repeat("x", proxyMostV2-15))), both4},
	{"v2, too large", v2(0x21, 0x11, tcp4+tlv(0xee, strings.Repeat("x", proxyMostV2-14))), "long version 2 protocol header"},
	{"v2, cut off", v2(0x21, 0x11, tcp4)[:20], "unexpected EOF"},
	{"v2, signature alone", proxyV2, "unexpected EOF"},
}

func shownProxy(h ProxyHeader, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case h.Local:
		return "local"
	}
	return fmt.Sprint(h.Client, h.Server)
}

// What a header says, in one packet or in many; what follows it stays.
func TestProxyHeader(t *testing.T) {
	const follows = "\x16\x03\x01EHLO"
	for _, tt := range proxyHeaders {
		for _, how := range []struct {
			name string
			read func(io.Reader) io.Reader
		}{{"whole", func(r io.Reader) io.Reader { return r }}, {"bytes", iotest.OneByteReader}, {"halves", iotest.HalfReader}} {
			broken := strings.Contains(tt.want, "EOF")
			text := tt.header
			if !broken {
				text += follows
			}
			under := strings.NewReader(text)
			h, err := ReadProxyHeader(how.read(under))
			if got := shownProxy(h, err); got != tt.want {
				t.Errorf("%s, %s: %q, want %q", tt.name, how.name, got, tt.want)
			}
			if err == nil && under.Len() != len(follows) {
				t.Errorf("%s, %s: %d bytes are left, not %d", tt.name, how.name, under.Len(), len(follows))
			}
		}
	}
}

// FuzzProxyHeader: a header that is taken was read exactly; it says the same again as
// written by ourselves; and nothing shorter would have been one.
func FuzzProxyHeader(f *testing.F) {
	for _, tt := range proxyHeaders {
		f.Add([]byte(tt.header + "EHLO x\r\n"))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		under := bytes.NewReader(text)
		h, err := ReadProxyHeader(under)
		used := len(text) - under.Len()
		if used > proxyFixed+proxyMostV2 {
			t.Fatalf("%d bytes were read", used)
		}
		if err != nil {
			if broken := (*ProxyError)(nil); !errors.As(err, &broken) && err != io.EOF && err != io.ErrUnexpectedEOF {
				t.Fatalf("error %v", err)
			}
			return
		}
		if n := proxyLength(text); n != used {
			t.Fatalf("%d bytes were read of a header of %d", used, n)
		}
		again, err := ReadProxyHeader(bytes.NewReader(text[:used]))
		if err != nil || again != h {
			t.Fatalf("alone it is %v, %v; was %v", again, err, h)
		}
		if _, err := ReadProxyHeader(bytes.NewReader(text[:used-1])); err != io.ErrUnexpectedEOF {
			t.Fatalf("without its last byte: %v", err)
		}
		if h.Local {
			return
		}
		for _, written := range []string{writtenV1(h), writtenV2(h)} {
			if again, err := ReadProxyHeader(strings.NewReader(written)); err != nil || again != h {
				t.Fatalf("%q is %v, %v; was %v", written, again, err, h)
			}
		}
	})
}

// proxyLength is how long the header is that a text begins with.
func proxyLength(text []byte) int {
	if bytes.HasPrefix(text, []byte(proxyV2)) {
		return proxyFixed + int(text[14])<<8 + int(text[15])
	}
	return bytes.IndexByte(text, '\n') + 1
}

func writtenV1(h ProxyHeader) string {
	family, client, server := "TCP4", h.Client.Addr(), h.Server.Addr()
	if client.Is6() || server.Is6() {
		family, client, server = "TCP6", netip.AddrFrom16(client.As16()), netip.AddrFrom16(server.As16())
	}
	return fmt.Sprintf("PROXY %s %s %s %d %d\r\n", family, client, server, h.Client.Port(), h.Server.Port())
}

func writtenV2(h ProxyHeader) string {
	c, s := h.Client.Addr().As16(), h.Server.Addr().As16()
	b := append(c[:], s[:]...)
	b = binary.BigEndian.AppendUint16(b, h.Client.Port())
	b = binary.BigEndian.AppendUint16(b, h.Server.Port())
	return summed(0x21, 0x21, string(b))
}
