package integration

import (
	"strings"
	"testing"
)

// generic(5) while its table is out of reach: the message waits, and leaves as soon as
// there is an answer. The log keeps the addresses of the inside.
func TestGenericTableOutOfReach(t *testing.T) {
	sink := newSink(t)
	cf := base(sink)
	cf["smtp_generic_maps"] = "tcp:" + freeAddr(t)
	r := newRelay(t, cf, nil)
	r.start()
	args := []string{"--from", "me@inside.example", "--to", "info@alias.example", "--h-From", "Me <me@inside.example>"}
	if out, code := swaks(t, r, args...); code != 0 {
		t.Fatalf("swaks: exit status %d\n%s", code, out)
	}
	r.waitLog(`to=<target@dest\.example>, .*dsn=4\.3\.0, status=deferred \(`)
	if n := sink.Count(); n != 0 {
		t.Fatalf("%d messages were sent without an answer of the table", n)
	}

	cf["smtp_generic_maps"] = "inline:{ me@inside.example=me@outside.example, target@dest.example=goal@dest.example }"
	r.configure(cf)
	r.mustRun("reload", "-c", r.dir)
	r.mustRun("postqueue", "-c", r.dir, "-f")
	if !sink.Wait(1, limit) {
		t.Fatalf("nothing arrived\n%s", r.log())
	}
	m := sink.Messages()[0]
	if !strings.HasPrefix(m.From, "<me@outside.example>") || !strings.HasPrefix(m.Rcpts[0], "<goal@dest.example> ORCPT=rfc822;info@alias.example") {
		t.Errorf("envelope: %s %s", m.From, m.Rcpts)
	}
	mustMatch(t, "message", m.Data, `(?m)^From: Me <me@outside\.example>\r$`)
	r.waitLog(`from=<me@inside\.example>`)
	r.waitLog(`to=<target@dest\.example>, orig_to=<info@alias\.example>, .*status=sent`)
	r.stop()
}

// What completes the header of whom, end to end.
func TestHeaderRewritingSettings(t *testing.T) {
	sink := newSink(t)
	cf := base(sink)
	cf["local_header_rewrite_clients"] = ""
	cf["remote_header_rewrite_domain"] = "remote.invalid"
	cf["append_dot_mydomain"] = "yes"
	r := newRelay(t, cf, nil)
	r.start()
	const letter = "From: bob\r\nTo: ann@host\r\nSubject: x\r\n\r\nx\r\n"
	mustMatch(t, "a remote client's message", submitMessage(t, r.smtp, "info@alias.example", letter, sink, r.log),
		`(?s)\r\nFrom: bob@remote\.invalid\r\nTo: ann@host\.remote\.invalid\r\nSubject: x\r\nMessage-Id: <[^\r]*@mx\.alias\.example>\r\nDate: [^\r]*\r\n\r\nx\r\n`)

	n := sink.Count()
	if out, code := r.runWith("From: bob\nTo: ann@host\nSubject: x\n\nx\n", "sendmail", "-C", r.dir, "-f", "me@client.example", "info@alias.example"); code != 0 {
		t.Fatalf("sendmail: exit status %d\n%s", code, out)
	}
	if !sink.Wait(n+1, limit) {
		t.Fatalf("nothing arrived\n%s", r.log())
	}
	mustMatch(t, "a local user's message", sink.Messages()[n].Data,
		`(?s)\r\nFrom: bob@mx\.alias\.example\r\nTo: ann@host\.alias\.example\r\nSubject: x\r\n`)
	r.stop()
}
