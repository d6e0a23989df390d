package integration

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// The demo needs no terminal, no root, no network and no free standard port, and shows
// a delivery and the refusal of an unknown recipient.
func TestDemo(t *testing.T) {
	var out lockedBuffer
	cmd := exec.Command(binary, "demo", "--exit")
	cmd.Dir, cmd.Env = "/", []string{"TMPDIR=" + t.TempDir(), "POSTFIX_relayhost=[192.0.2.1]"}
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("demo: %v\n%s", err, out.String())
	}
	text := out.String()
	mustMatch(t, "demo", text, `to=<target@dest\.example>, orig_to=<info@alias\.example>, .*status=sent`)
	mustMatch(t, "demo", text, `550 5\.1\.1 <nobody@alias\.example>: Recipient address rejected: User unknown in virtual alias table`)
	mustMatch(t, "demo", text, `status=bounced`)
	mustMatch(t, "demo", text, `Undelivered Mail Returned to Sender`)
	if n := strings.Count(text, "arrived at the next hop"); n != 3 {
		t.Errorf("%d arrivals shown, want 3\n%s", n, text)
	}
}

func TestDemoWithoutRoot(t *testing.T) {
	cmd := exec.Command(binary, "demo", "--exit")
	cmd.Dir, cmd.Env = "/", []string{"TMPDIR=/tmp"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("demo as nobody (this test must run as root): %v\n%s", err, out)
	}
	mustMatch(t, "demo", string(out), `orig_to=<info@alias\.example>, .*status=sent`)
}
