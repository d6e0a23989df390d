package header

import (
	"io"
	"testing"
)

// RFC 8689 section 3: "No" in any case is the one value that means something.
func TestTLSOptional(t *testing.T) {
	for header, want := range map[string]bool{
		"TLS-Required: No\r\n":                                  true,
		"tls-required:no\r\n":                                   true,
		"Subject: x\r\nTLS-Required:\r\n No \r\nTo: y\r\n":      true,
		"TLS-Required: No\r\nMessage-ID: <No>\r\n":              true,
		"TLS-Required: Yes\r\n":                                 false,
		"TLS-Required: None\r\n":                                false,
		"TLS-Required:\r\n":                                     false,
		"X-TLS-Required: No\r\n":                                false,
		"Subject: TLS-Required: No\r\n":                         false,
		"Subject: x\r\n\r\nTLS-Required: No\r\n":                false,
		"Message-ID: No\r\n":                                    false,
		"TLS-Required: Yes\r\nSubject: x\r\nMessage-ID: No\r\n": false,
	} {
		w := NewWriter(io.Discard, Options{})
		io.WriteString(w, header+"\r\nbody\r\n")
		w.Close()
		if got := w.TLSOptional(); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
		if ids := w.MessageIDs(); len(ids) > 0 && ids[0].Value == "Yes" {
			t.Errorf("%q: %v taken for a Message-ID", header, ids)
		}
	}
}
