package smtpd

import (
	"strings"
	"testing"
)

// RFC 2920 section 3.2: a client may send BDAT behind the envelope, and wait for the
// replies to that before it sends the chunk.
func TestRepliesBeforeChunk(t *testing.T) {
	w := usual(t).start()
	c := w.dial("127.0.0.2").greeting()
	c.expect("EHLO x.example.net", "250")
	c.send("MAIL FROM:<s@example.net>\r\nRCPT TO:<a@virt.example>\r\nBDAT 20 LAST\r\n")
	for range 2 {
		if got := c.reply(); !strings.HasPrefix(got, "250 2.1.") {
			t.Fatalf("got %q", got)
		}
	}
	c.send("Subject: x\r\n\r\nabcd\r\n")
	if got := c.reply(); !strings.HasPrefix(got, "250 2.0.0 Ok: 20 bytes queued as") {
		t.Errorf("got %q", got)
	}
	c.expect("QUIT", "221")
}
