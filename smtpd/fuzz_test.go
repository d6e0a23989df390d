package smtpd

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
)

// A whole connection of anything: no panic, an end, no draft left behind, and no message
// that was not ended and answered with 250.
func FuzzConnection(f *testing.F) {
	for _, s := range []string{
		"EHLO x\r\nMAIL FROM:<s@example.net>\r\nRCPT TO:<a@virt.example>\r\nDATA\r\nA: b\r\n\r\nhi\r\n.\r\nQUIT\r\n",
		"HELO x\nMAIL FROM:<>\nRCPT TO:<a@virt.example>\nBDAT 3\nabcBDAT 0 LAST\n",
		"MAIL FROM:<s@example.net>\r\nRCPT TO:<a@virt.example>\r\nDATA\r\n\n.\n.\r\nRSET\r\n",
		"EHLO x\r\nVRFY a@virt.example\r\nETRN x\r\nSTARTTLS\r\nAUTH PLAIN\r\nHELP\r\nRSET\r\n\r\n",
		"MAIL FROM:<\"a\\\"@b\"@example.net> SIZE=10 BODY=8BITMIME\r\nRCPT TO:<@x:a@virt.example> ORCPT=rfc822;x+2B NOTIFY=NEVER\r\n",
		"GET / HTTP/1.0\r\n", "\x16\x03\x01", "BDAT 99999999999 LAST\r\n",
	} {
		f.Add([]byte(s), uint8(0))
		f.Add([]byte(s), uint8(7))
	}
	f.Fuzz(func(t *testing.T, input []byte, how uint8) {
		synctest.Test(t, func(t *testing.T) {
			w := usual(t)
			w.o.HardErrorLimit = 1000
			w.o.ForbidUnauthPipelining = how&1 != 0
			w.o.ReplaceStrayCR = how&2 != 0
			w.o.StrictEnvelopes = how&4 != 0
			w.o.MessageSizeLimit = 2000
			w.start()
			c := w.dial("127.0.0.2")
			var replies strings.Builder
			w.conns.Go(func() { io.Copy(&replies, c.nc) })
			for len(input) > 0 {
				n := min(int(how)%50+1, len(input))
				c.send(string(input[:n]))
				input = input[n:]
				if len(c.out) > 900 {
					synctest.Wait()
				}
			}
			synctest.Wait()
			c.hangUp()
			w.conns.Wait()
			if n := strings.Count(replies.String(), "queued as"); n != len(w.store.messages) {
				t.Errorf("%d messages, %d times 250", len(w.store.messages), n)
			}
			for line := range strings.Lines(replies.String()) {
				if len(line) > maxReplyLine || !strings.HasSuffix(line, "\r\n") || len(line) < 6 ||
					strings.ContainsFunc(line[:len(line)-2], isControl) {
					t.Errorf("reply line %q", line)
				}
			}
			for _, m := range w.store.messages {
				if m.body != "" && !strings.HasSuffix(m.body, "\r\n") || strings.Contains(strings.ReplaceAll(m.body, "\r\n", ""), "\n") {
					t.Errorf("message %q", m.body)
				}
			}
		})
	})
}
