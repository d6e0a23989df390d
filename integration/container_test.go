package integration

import (
	"bytes"
	"debug/elf"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestContainer lays out the image's file system with the script the Dockerfile
// uses, and runs the image's command in it: chroot, nothing else inside, the image's
// user, configuration by environment.
func TestContainer(t *testing.T) {
	root, err := os.MkdirTemp("/var/tmp", "aliasmx-image")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	os.Chmod(root, 0o755)
	mustExec(t, "sh", "../configs/container/rootfs.sh", root)
	if f, err := elf.Open(filepath.Join(root, "usr/sbin/aliasmx")); err != nil {
		t.Fatal(err)
	} else if libs, _ := f.ImportedLibraries(); len(libs) > 0 {
		t.Errorf("the binary is not static: it needs %v", libs)
	}
	if out, err := exec.Command("chown", "-Rh", "65532:65532", root).CombinedOutput(); err != nil {
		t.Fatalf("this test changes root and user, for which it must run as root: %v %s", err, out)
	}

	sink := newSink(t)
	_, hop, _ := net.SplitHostPort(sink.Addr)
	addr := freeAddr(t)
	if err := os.WriteFile(filepath.Join(root, "etc/aliasmx/master.cf"), []byte(addr+" inet n - n - - smtpd\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	env := []string{
		"POSTFIX_myhostname=mx.alias.example",
		"POSTFIX_virtual_alias_domains=alias.example",
		"POSTFIX_virtual_alias_maps=inline:{info@alias.example=target@dest.example}",
		"POSTFIX_relayhost=[127.0.0.1]:" + hop,
		"POSTFIX_smtp_dns_support_level=disabled",
		"POSTFIX_smtpd_peername_lookup=no",
	}
	inside := func(args ...string) *exec.Cmd {
		cmd := exec.Command("/usr/sbin/aliasmx", args...)
		cmd.Path = "/usr/sbin/aliasmx"
		cmd.Err = nil
		cmd.Env, cmd.Dir = env, "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
		return cmd
	}
	var stdout lockedBuffer
	daemon := inside("start")
	daemon.Stdout, daemon.Stderr = &stdout, &stdout
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- daemon.Wait() }()
	t.Cleanup(func() { daemon.Process.Kill() })
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		out, err := inside("status", "--healthcheck").CombinedOutput()
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("not healthy: %v %s\n%s", err, out, stdout.String())
		}
	}
	r := &relay{t: t, smtp: addr}
	if out, code := swaks(t, r, "--to", "info@alias.example"); code != 0 {
		t.Fatalf("swaks: exit status %d\n%s", code, out)
	}
	if !sink.Wait(1, limit) {
		t.Fatalf("nothing arrived\n%s", stdout.String())
	}
	if out, code := swaks(t, r, "--to", "nobody@alias.example"); code == 0 || !strings.Contains(out, "550 5.1.1") {
		t.Errorf("unknown recipient:\n%s", out)
	}
	for end := time.Now().Add(limit); !strings.Contains(stdout.String(), "removed"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the log does not come to standard output:\n%s", stdout.String())
		}
	}
	daemon.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("stop: %v\n%s", err, stdout.String())
		}
	case <-time.After(12 * time.Second):
		t.Errorf("it does not stop within 12 s")
	}
	if err := inside("status", "--healthcheck").Run(); err == nil {
		t.Errorf("healthy after the end")
	}
}

// TestServiceNotification checks what Type=notify asks of a daemon, against a socket
// of the test.
func TestServiceNotification(t *testing.T) {
	sink := newSink(t)
	r := newRelay(t, base(sink), nil)
	path := filepath.Join(r.top, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	expect := func(want string) {
		t.Helper()
		conn.SetReadDeadline(time.Now().Add(limit))
		buf := make([]byte, 512)
		n, err := conn.Read(buf)
		if err != nil || !bytes.Contains(buf[:n], []byte(want)) {
			t.Fatalf("got %q, %v; want %s", buf[:n], err, want)
		}
	}
	r.start()
	expect("READY=1")
	r.cmd.Process.Signal(syscall.SIGHUP)
	expect("RELOADING=1")
	expect("READY=1")
	r.cmd.Process.Signal(syscall.SIGTERM)
	expect("STOPPING=1")
	<-r.done
}
