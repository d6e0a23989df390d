package delivery

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
)

// LMTP answers the content once for each recipient that was accepted.
func TestLMTP(t *testing.T) {
	const relay = "192.0.2.1[192.0.2.1]:24"
	const said = "host 192.0.2.1[192.0.2.1] said: "
	for _, c := range []struct {
		name    string
		answers map[string]string
		want    string
		bad     bool
	}{
		{"all is well", nil,
			"sent 2.1.5 R (250 2.1.5 <one@dest.example> delivered)\nsent 2.1.5 R (250 2.1.5 <two@dest.example> delivered)\nsent 2.1.5 R (250 2.1.5 <three@dest.example> delivered)", false},
		{"each its own", map[string]string{"RCPT TO:<two": "550 5.1.1 no", ". <one": "452 4.2.2 full", ". <three": "554 5.7.1 never"},
			"deferred 4.2.2 R (" + said + "452 4.2.2 full (in reply to end of DATA command))\nbounced 5.1.1 R (" + said + "550 5.1.1 no (in reply to RCPT TO command))\nbounced 5.7.1 R (" + said + "554 5.7.1 never (in reply to end of DATA command))", false},
		{"lost after the first", map[string]string{". <two": "close"},
			"sent 2.1.5 R (250 2.1.5 <one@dest.example> delivered)\ndeferred 4.4.2 R (lost connection with 192.0.2.1[192.0.2.1] while sending end of data -- message may be sent more than once)\ndeferred 4.4.2 R (lost connection with 192.0.2.1[192.0.2.1] while sending end of data -- message may be sent more than once)", true},
		{"LHLO refused", map[string]string{"LHLO": "500 what?"},
			"bounced 5.0.0 R (host 192.0.2.1[192.0.2.1] refused to talk to me: 500 what?)\nbounced 5.0.0 R (host 192.0.2.1[192.0.2.1] refused to talk to me: 500 what?)\nbounced 5.0.0 R (host 192.0.2.1[192.0.2.1] refused to talk to me: 500 what?)", false},
		{"DATA refused", map[string]string{"DATA": "451 4.3.0 no"},
			strings.Repeat("deferred 4.3.0 R ("+said+"451 4.3.0 no (in reply to DATA command))\n", 3), false},
	} {
		for _, keywords := range [][]string{nil, allKeywords} {
			t.Run(c.name, func(t *testing.T) {
				p := &peer{lmtp: true, keywords: keywords, on: script(c.answers)}
				s := newSetup(t, map[string]any{"192.0.2.1:24": p}, Options{})
				src := s.send("lmtp:inet:[192.0.2.1]", letter("one@dest.example", "two@dest.example", "three@dest.example"))
				want := strings.TrimSpace(strings.ReplaceAll(c.want, " R (", " "+relay+" ("))
				if got := fates(src.results[0]); got != want {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
				if bad := src.feedback[0] == mail.FeedbackBad; bad != c.bad {
					t.Errorf("feedback bad: %v, want %v", bad, c.bad)
				}
				if src.results[0][0].Agent != "lmtp" {
					t.Errorf("agent %s", src.results[0][0].Agent)
				}
				if cmds := p.commands(1); len(cmds) == 0 || cmds[0] != "LHLO mx.example.com" {
					t.Errorf("commands %v", cmds)
				}
			})
		}
	}
}

// lmtp:unix:path over a real socket; a relative path begins in the queue directory.
func TestLMTPOverUnixSocket(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, "lmtp"))
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{lmtp: true, keywords: allKeywords}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			p.serve(nc)
		}
	})
	c := New(Options{MyHostname: "mx.example.com", QueueDirectory: dir})
	for _, r := range []struct{ dest, want string }{
		{"lmtp:unix:lmtp", "sent 2.1.5 mx.example.com[lmtp] (250 2.1.5 <r@dest.example> delivered)"},
		{"lmtp:unix:" + filepath.Join(dir, "lmtp"), "sent 2.1.5 mx.example.com[" + dir + "/lmtp] (250 2.1.5 <r@dest.example> delivered)"},
		{"lmtp:unix:nobody", "deferred 4.4.1 none (connect to mx.example.com[nobody]: No such file or directory)"},
	} {
		src := &source{t: t, attempts: letters(1)}
		c.Work(context.Background(), mail.Dest(r.dest), src)
		if got := fates(src.results[0]); got != r.want {
			t.Errorf("%s: got %s\nwant %s", r.dest, got, r.want)
		}
	}
	c.Close()
	l.Close()
	serving.Wait()
}

// A server that says 354 although it has accepted nobody gives no reply to the dot, one for
// each recipient being none: nothing is waited for.
func TestLMTPDotForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{lmtp: true, keywords: allKeywords, on: script(map[string]string{"RCPT": "550 5.1.1 unknown", "DATA": "354 go on"})}
		s := newSetup(t, map[string]any{"192.0.2.1:24": p}, Options{})
		start := time.Now()
		got := fates(s.send("lmtp:[192.0.2.1]", letter("r@dest.example")).results[0])
		if took := time.Since(start); took > time.Second || !strings.HasPrefix(got, "bounced 5.1.1") {
			t.Errorf("%s, after %v", got, took)
		}
	})
}
