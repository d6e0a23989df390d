package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The verdict on spam is there before the message is: what rspamd refuses is never ours.

// rspamdVerdicts is rules by words in the subject.
const rspamdVerdicts = `local function about(word)
  return function(task)
    local subject = task:get_subject()
    return subject ~= nil and subject:find(word, 1, true) ~= nil
  end
end
rspamd_config:register_symbol{ name = "TEST_DUBIOUS", type = "normal", score = 7.0, callback = function(task)
  if not about("dubious")(task) then return false end
  task:set_milter_reply{ add_headers = { ["X-Spam-Verdict"] = { value = "dubious", order = 1 } } }
  return true
end }
rspamd_config:register_symbol{ name = "TEST_SOFT", type = "prefilter", callback = function(task)
  if about("later")(task) then task:set_pre_result("soft reject", "Greylisted, please try again later") end
end }
`

func TestRspamdVerdicts(t *testing.T) {
	t.Parallel()
	dir, addr := realDir(t), freeAddr(t)
	for name, text := range map[string]string{"tld": "example\norg\n", "own.lua": rspamdVerdicts} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// Without the module that adds fields to all mail.
	conf := strings.ReplaceAll(rspamdConf, "{addr}", addr)
	conf = strings.Replace(conf, `modules { path = "/usr/share/rspamd/plugins/milter_headers.lua"; }`, "", 1)
	runMilter(t, dir, "tcp", addr, conf, "/usr/bin/rspamd", "-f", "-i", "-u", "root", "-g", "root", "-c")
	sink := newSink(t)
	cf := base(sink)
	cf["smtpd_milters"] = "inet:" + addr
	r := newRelay(t, cf, nil)
	r.start()
	const gtube = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
	for _, tt := range []struct {
		subject, body, reply string
		log                  string
		marked               bool // by a field on top, as a rule of ours asks, and by one at the end of the header, as rspamd does itself
	}{
		{subject: "plain  folded\r\n\tonce", body: "caf\xe9 \r\n.dot\r\n", reply: "250 2.0.0 Ok: queued as "},
		{subject: "gtube", body: gtube, reply: "554 5.7.1 ", log: `5\.7\.1 Gtube pattern`},
		{subject: "later", body: "x", reply: "451 4.7.1 Greylisted, please try again later", log: `4\.7\.1 Greylisted, please try again later`},
		{subject: "dubious", body: "x", reply: "250 2.0.0 Ok: queued as ", marked: true},
		{subject: "plain again", body: "x", reply: "250 2.0.0 Ok: queued as "},
	} {
		before := sink.Count()
		text := "Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\nFrom: sender@client.example\r\nTo: info@alias.example\r\nSubject: " + tt.subject +
			"\r\nMessage-ID: <1@client.example>\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n\r\n" + tt.body + "\r\n"
		got := playClient(t, r.smtp, letterTo("sender@client.example", strings.ReplaceAll(text, "\n.", "\n.."), "info@alias.example"))
		if len(got) < 6 || !strings.HasPrefix(got[5], tt.reply) {
			t.Errorf("%s: %q, want %q", tt.subject, got, tt.reply)
			continue
		}
		if tt.log != "" {
			r.waitLog(`cleanup\[\d+\]: \w{12}: milter-reject: END-OF-MESSAGE from unknown\[127\.0\.0\.1\]: ` + tt.log + `; from=<sender@client\.example> to=<info@alias\.example> proto=ESMTP helo=<client\.example>`)
			if out := r.mustRun("mailq", "-c", r.dir); !strings.Contains(out, "Mail queue is empty") {
				t.Errorf("%s: refused, and in the queue:\n%s", tt.subject, out)
			}
			continue
		}
		if !sink.Wait(before+1, limit) {
			t.Fatalf("%s: it does not arrive\n%s", tt.subject, r.log())
		}
		data := sink.Messages()[before].Data
		top := `^Received: from client\.example \(unknown \[127\.0\.0\.1\]\)\r\n\tby mx\.alias\.example \(Postfix\) with ESMTP id \w{12}\r\n\tfor <info@alias\.example>; [^\r\n]+\r\n`
		if tt.marked {
			top += `X-Spam-Verdict: dubious\r\n`
			text = strings.Replace(text, "\r\n\r\n", "\r\nX-Spam: Yes\r\n\r\n", 1)
		}
		above, ok := strings.CutSuffix(data, text)
		if !ok {
			t.Errorf("%s: got %q, want at its end %q", tt.subject, data, text)
		}
		mustMatch(t, tt.subject, above, top+"$")
	}
	// Three were taken, and the two that were refused left nothing.
	r.waitEmpty()
	if n := sink.Count(); n != 3 {
		t.Errorf("%d messages arrived, want 3\n%s", n, r.log())
	}
}
