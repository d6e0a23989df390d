package delivery

import (
	"context"
	"net"
	"strings"
	"testing"

	"aliasmx/integration/smuggle"
	"aliasmx/internal/mail"
)

// SMTP smuggling outwards: whatever a message in the queue holds, as it came by DATA or
// BDAT or lies there from older times, no server at the other end finds a second message
// in it, however lax that server is.

const (
	smuggledBegin = "Subject: first\r\n\r\nbefore"
	smuggled      = "MAIL FROM:<evil@example.net>\r\nRCPT TO:<b@dest.example>\r\nDATA\r\nSubject: second\r\n\r\nsmuggled\r\n"
)

const agreeable = "220 x\r\n250-x\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE\r\n250 ok\r\n250 ok\r\n354 go\r\n250 done\r\n"

// sent is what leaves for a body, from behind 354 to the end. Blocks of the body are of
// the given size, 0 is the whole.
func sent(t *testing.T, message string, block int, o Options) string {
	t.Helper()
	server := &deaf{says: strings.NewReader(agreeable)}
	o.Dial = func(context.Context, string, string) (net.Conn, error) { return server, nil }
	c := New(o)
	defer c.Close()
	a := letter("one@dest.example")
	a.Body = body(message)
	if block > 0 {
		a.Body = reader{body(message)}
	}
	src := &source{t: t, attempts: []*mail.Attempt{a}}
	c.Work(t.Context(), "smtp:[192.0.2.1]", src)
	if got := src.results[0][0]; got.State != mail.Delivered {
		t.Fatalf("%q: %s", message, fate(got))
	}
	_, content, ok := strings.Cut(server.told.String(), "\r\nDATA\r\n")
	if !ok {
		t.Fatalf("told %q", server.told.String())
	}
	return content
}

// checkServers shows what was sent to every server: behind the end there is only our QUIT.
func checkServers(t *testing.T, servers []smuggle.Server, message, content string) {
	t.Helper()
	for _, s := range servers {
		_, rest, ended := s.Split(content)
		for i := range len(s.Drops) {
			rest = strings.ReplaceAll(rest, s.Drops[i:i+1], "")
		}
		if !ended || strings.Trim(rest, "\r\n") != "QUIT" {
			t.Fatalf("%q left as %q: a server that %s takes %q for commands", message, content, s.Name, rest)
		}
	}
}

func checkSmuggling(t *testing.T, list []smuggle.Sequence) {
	servers := append(smuggle.Lax(), smuggle.Strict())
	for _, s := range list {
		raw := smuggledBegin + s.Bytes + smuggled
		for how, message := range map[string]string{
			"as it came": raw, "nothing before it": s.Bytes + smuggled, "at the end": smuggledBegin + s.Bytes,
			"by BDAT": smuggle.KeptChunks(raw, false), "by BDAT, stray CRs replaced": smuggle.KeptChunks(raw, true),
			"over a block's border": "Subject: x\r\n\r\n" + strings.Repeat("y", contentBlock-len("Subject: x\r\n\r\n")-1) + s.Bytes + smuggled,
		} {
			for name, o := range map[string]Options{"": {}, "long lines broken": {LineLengthLimit: 50}} {
				t.Run(s.Name+" "+how+" "+name, func(t *testing.T) {
					for block := range 2 {
						checkServers(t, servers, message, sent(t, message, block, o))
					}
				})
			}
		}
		for _, replace := range []bool{false, true} {
			message, _, ended := smuggle.Kept(raw+".\r\n", replace)
			if !ended {
				t.Fatalf("%s never ends", s.Name)
			}
			checkServers(t, servers, message, sent(t, message, 0, Options{}))
		}
	}
}

func TestPublicSmuggling(t *testing.T) { checkSmuggling(t, smuggle.Public(t)) }

func TestOwnSmuggling(t *testing.T) { checkSmuggling(t, smuggle.Own()) }

func TestEveryShortSmuggling(t *testing.T) {
	longest := 6
	if testing.Short() {
		longest = 4
	}
	lax := smuggle.Lax()
	servers := append([]smuggle.Server{smuggle.Strict(), lax[len(lax)-1]}, lax[:4]...)
	for s := range smuggle.Short(longest) {
		message := "Subject: x\r\n\r\nx" + s + "MAIL FROM:<evil@example.net>\r\n"
		checkServers(t, servers, message, sent(t, message, 0, Options{}))
	}
}

// What we put on top goes the same way: a header field of ours cannot end a message.
func TestSmugglingInPrepend(t *testing.T) {
	for _, s := range smuggle.Own() {
		server := &deaf{says: strings.NewReader(agreeable)}
		c := New(Options{Dial: func(context.Context, string, string) (net.Conn, error) { return server, nil }})
		a := letter("one@dest.example")
		a.Env.Prepend = []byte("Received: from x" + s.Bytes + "MAIL FROM:<evil@example.net>\r\n")
		c.Work(t.Context(), "smtp:[192.0.2.1]", &source{t: t, attempts: []*mail.Attempt{a}})
		c.Close()
		_, content, _ := strings.Cut(server.told.String(), "\r\nDATA\r\n")
		checkServers(t, append(smuggle.Lax(), smuggle.Strict()), string(a.Env.Prepend), content)
	}
}
