package integration

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"aliasmx/integration/peers"
	"os/exec"
)

func TestSendmailForms(t *testing.T) {
	sink := newSink(t)
	r := newRelay(t, base(sink), nil)
	r.start()
	for i, c := range []struct {
		name  string
		args  []string
		stdin string
		rcpts []string
		data  string // a pattern
	}{
		{"recipients", []string{"-f", "a@client.example", "info@alias.example"}, "Subject: one\n\nx\n",
			[]string{"target@dest.example"}, `Subject: one\r\n`},
		{"from the header", []string{"-t", "-f", "a@client.example"}, "To: info@alias.example\nCc: other@elsewhere.example\nBcc: secret@elsewhere.example\nSubject: two\n\nx\n",
			[]string{"other@elsewhere.example", "secret@elsewhere.example", "target@dest.example"}, `Subject: two\r\n`},
		{"a dot with -i", []string{"-i", "-f", "a@client.example", "info@alias.example"}, "Subject: three\n\nabove\n.\nbelow\n",
			[]string{"target@dest.example"}, `above\r\n\.\r\nbelow\r\n$`},
		{"a dot without -i", []string{"-f", "a@client.example", "info@alias.example"}, "Subject: four\n\nabove\n.\nbelow\n",
			[]string{"target@dest.example"}, `above\r\n$`},
		{"full name", []string{"-F", "A. Sender", "-f", "a@client.example", "info@alias.example"}, "Subject: five\n\nx\n",
			[]string{"target@dest.example"}, `From: "?A\. Sender"? <a@client\.example>\r\n`},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := sink.Count()
			out, code := r.runWith(c.stdin, append([]string{"sendmail", "-C", r.dir}, c.args...)...)
			if code != 0 {
				t.Fatalf("exit status %d\n%s", code, out)
			}
			r.waitEmpty()
			var fresh []peers.Message
			for _, m := range sink.Messages()[before:] {
				fresh = append(fresh, m)
				mustMatch(t, "message", m.Data, c.data)
				if strings.Contains(m.Data, "Bcc:") {
					t.Errorf("the Bcc field went out:\n%s", m.Data)
				}
			}
			if got := recipients(fresh); !slices.Equal(got, c.rcpts) {
				t.Errorf("case %d: recipients %v, want %v", i, got, c.rcpts)
			}
		})
	}
}

func TestSendmailSMTP(t *testing.T) {
	sink := newSink(t)
	r := newRelay(t, base(sink), nil)
	r.start()
	out, code := r.runWith("EHLO local.example\r\nMAIL FROM:<a@client.example>\r\nRCPT TO:<info@alias.example>\r\nDATA\r\nSubject: bs\r\n\r\nx\r\n.\r\nQUIT\r\n", "sendmail", "-C", r.dir, "-bs")
	if code != 0 {
		t.Fatalf("exit status %d\n%s", code, out)
	}
	mustMatch(t, "conversation", out, `(?s)^220 mx\.alias\.example ESMTP Postfix\r\n.*250 2\.1\.5 Ok\r\n354 .*250 2\.0\.0 Ok: queued as \w{12}\r\n221 2\.0\.0 Bye\r\n$`)
	if !sink.Wait(1, limit) {
		t.Errorf("nothing arrived\n%s", r.log())
	}
}

func TestSendmailWhileDown(t *testing.T) {
	r := newRelay(t, base(nil), nil)
	out, code := r.runWith("Subject: x\n\nx\n", "sendmail", "-C", r.dir, "-f", "a@client.example", "info@alias.example")
	if code != 75 {
		t.Errorf("exit status %d, want 75\n%s", code, out)
	}
	if strings.Count(strings.TrimSpace(out), "\n") > 0 || !strings.Contains(out, "mail system is down") {
		t.Errorf("want one line that says the daemon is not running:\n%s", out)
	}
}

// Any local user may submit, and the log names the one the kernel vouches for.
func TestSendmailByAnotherUser(t *testing.T) {
	sink := newSink(t)
	r := newRelay(t, base(sink), nil)
	r.start()
	cmd := exec.Command(binary, "sendmail", "-C", r.dir, "-f", "a@client.example", "info@alias.example")
	cmd.Stdin = strings.NewReader("Subject: x\n\nx\n")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sendmail as another user (this test must run as root): %v\n%s", err, out)
	}
	r.waitLog(`pickup\[\d+\]: \w{12}: uid=65534 from=<a@client\.example>`)

	// The operator's hand is for root and the daemon's own user.
	cmd = exec.Command(binary, "postsuper", "-c", r.dir, "-d", "ALL")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Errorf("postsuper by another user worked:\n%s", out)
	}
}

// With mail_owner set, root binds the port and gives up its rights.
func TestGivesUpRoot(t *testing.T) {
	sink := newSink(t)
	cf := base(sink)
	cf["mail_owner"] = "nobody"
	cf["maillog_file"] = "/dev/stdout"
	r := newRelay(t, cf, nil)
	os.Chmod(filepath.Join(r.top, "data"), 0o777)
	r.start()
	status, err := os.ReadFile("/proc/" + itoa(r.cmd.Process.Pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	mustMatch(t, "process status", string(status), `(?m)^Uid:\t65534\t65534\t65534\t65534$`)
	if out, code := swaks(t, r, "--to", "info@alias.example"); code != 0 {
		t.Fatalf("swaks: exit status %d\n%s", code, out)
	}
	if !sink.Wait(1, limit) {
		t.Errorf("nothing arrived\n%s", r.out)
	}
}
