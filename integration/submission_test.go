package integration

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// submissionRelay is a relay with the services of docs/submission.md beside its usual one,
// and two users: joe by argon2id, jane@alias.example by bcrypt.
func submissionRelay(t *testing.T, sink *peers.Sink, more map[string]string) (r *relay, submission, submissions string) {
	t.Helper()
	cf := base(sink)
	cf["smtpd_relay_restrictions"] = "permit_sasl_authenticated, reject_unauth_destination"
	cf["smtpd_sasl_path"] = "hash:{dir}/users"
	cf["smtpd_sender_login_maps"] = "inline:{ {joe@alias.example = joe}, {@alias.example = jane@alias.example} }"
	cf["smtpd_tls_received_header"] = "yes"
	cf["smtpd_client_event_limit_exceptions"] = ""
	cf["smtpd_sasl_authenticated_header"] = "yes"
	for name, value := range more {
		cf[name] = value
	}
	r = newRelay(t, cf, nil)
	cf["smtpd_tls_cert_file"], cf["smtpd_tls_key_file"] = certificateFiles(t, r, "own", "mx.alias.example")
	r.configure(cf)
	if strings.HasPrefix(cf["smtpd_sasl_path"], "hash:") {
		users := ""
		for _, u := range []struct{ password, args string }{{"joe's secret\n", "passwd joe"}, {"jane's secret\n", "passwd --bcrypt --cost 5 jane@alias.example"}} {
			line, code := r.runWith(u.password, strings.Fields(u.args)...)
			if code != 0 || strings.Contains(line, "secret") {
				t.Fatalf("aliasmx %s: exit status %d\n%s", u.args, code, line)
			}
			users += line
		}
		r.write("users", users)
		r.mustRun("postmap", "-c", r.dir, "hash:"+filepath.Join(r.dir, "users"))
	}
	submission, submissions = freeAddr(t), freeAddr(t)
	common := " -o smtpd_sasl_auth_enable=yes -o smtpd_tls_auth_only=yes -o smtpd_client_restrictions=permit_sasl_authenticated,reject" +
		" -o smtpd_sender_restrictions=reject_sender_login_mismatch\n"
	r.write("master.cf", r.smtp+" inet n - n - - smtpd\n"+
		submission+" inet n - n - - smtpd -o syslog_name=postfix/submission -o smtpd_tls_security_level=encrypt"+common+
		submissions+" inet n - n - - smtpd -o syslog_name=postfix/submissions -o smtpd_tls_wrappermode=yes"+common)
	return r, submission, submissions
}

// login sends a message as swaks does for who has a password.
func login(t *testing.T, server, from, user, password string, args ...string) (string, int) {
	t.Helper()
	all := append([]string{"--server", server, "--from", from, "--to", "far@elsewhere.example", "--helo", "client.example",
		"--auth-user", user, "--auth-password", password}, args...)
	return runProgram(t, "", "swaks", all...)
}

func TestSubmission(t *testing.T) {
	t.Parallel()
	sink := newSink(t)
	r, submission, submissions := submissionRelay(t, sink, nil)
	r.start()
	for _, c := range []struct {
		name, server, from, user, password string
		args                               []string
	}{
		{"587, PLAIN", submission, "joe@alias.example", "joe", "joe's secret", []string{"--tls", "--auth", "PLAIN"}},
		{"587, LOGIN", submission, "any@alias.example", "jane@alias.example", "jane's secret", []string{"--tls", "--auth", "LOGIN"}},
		{"465, PLAIN", submissions, "joe@alias.example", "joe", "joe's secret", []string{"--tls-on-connect", "--auth", "PLAIN"}},
		{"465, LOGIN", submissions, "joe@alias.example", "joe", "joe's secret", []string{"--tls-on-connect", "--auth", "LOGIN"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := sink.Count()
			out, code := login(t, c.server, c.from, c.user, c.password, c.args...)
			if code != 0 {
				t.Fatalf("exit status %d\n%s\n%s", code, out, r.log())
			}
			mustMatch(t, "swaks", out, `250-AUTH PLAIN LOGIN\r?\n`)
			mustMatch(t, "swaks", out, `235 2\.7\.0 Authentication successful`)
			if !sink.Wait(before+1, limit) {
				t.Fatalf("nothing arrived\n%s", r.log())
			}
			m := sink.Messages()[before]
			mustMatch(t, "message", m.Data, `(?s)^Received: from client\.example \(unknown \[127\.0\.0\.1\]\)\r\n\t\(using TLSv1\.3 .*\)\r\n`+
				`\t\(Authenticated sender: `+c.user+`\)\r\n\tby mx\.alias\.example \(Postfix\) with ESMTPSA id \w{12}\r\n\tfor <far@elsewhere\.example>`)
		})
	}
	r.waitLog(`postfix/submission/smtpd\[\d+\]: \w{12}: client=unknown\[127\.0\.0\.1\], sasl_method=PLAIN, sasl_username=joe`)
	for _, c := range []struct {
		name, server, from, user, password, reply string
		args                                      []string
	}{
		{"wrong password", submission, "joe@alias.example", "joe", "guess", `535 5\.7\.8 Error: authentication failed: authentication failure`, []string{"--tls", "--auth", "LOGIN"}},
		{"another's address", submission, "other@alias.example", "joe", "joe's secret", `553 5\.7\.1 <other@alias\.example>: Sender address rejected: not owned by user joe`, []string{"--tls"}},
		{"in the clear", submission, "joe@alias.example", "joe", "joe's secret", `Host did not advertise authentication`, nil},
		{"on port 25", r.smtp, "joe@alias.example", "joe", "joe's secret", `Host did not advertise authentication`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, code := login(t, c.server, c.from, c.user, c.password, c.args...)
			if code == 0 {
				t.Errorf("accepted\n%s", out)
			}
			mustMatch(t, "swaks", out, c.reply)
		})
	}
	out, code := runProgram(t, "", "swaks", "--server", submissions, "--from", "joe@alias.example", "--to", "far@elsewhere.example", "--tls-on-connect")
	if code == 0 {
		t.Errorf("relayed for who has not logged in\n%s", out)
	}
	r.waitLog(`postfix/submission/smtpd\[\d+\]: warning: unknown\[127\.0\.0\.1\]: SASL LOGIN authentication failed: authentication failure, sasl_username=joe`)
	for _, secret := range []string{"joe's secret", "jane's secret", "guess", "am9lJ3Mgc2VjcmV0", "Z3Vlc3M="} {
		if strings.Contains(r.log(), secret) {
			t.Errorf("the log has the password %q", secret)
		}
	}
	r.stop()
}

// TestSubmissionRate: smtpd_client_auth_rate_limit, and a table that goes away and comes
// back.
func TestSubmissionRate(t *testing.T) {
	sink := newSink(t)
	r, submission, _ := submissionRelay(t, sink, map[string]string{"smtpd_client_auth_rate_limit": "2"})
	r.start()
	for i, want := range []string{"235 2\\.7\\.0", "235 2\\.7\\.0", `450 4\.7\.1 Error: too many AUTH commands from 127\.0\.0\.1`} {
		out, _ := login(t, submission, "joe@alias.example", "joe", "joe's secret", "--tls", "--auth", "PLAIN")
		mustMatch(t, fmt.Sprintf("attempt %d", i+1), out, want)
	}
	r.waitLog(`warning: AUTH command rate limit exceeded: 3 from unknown\[127\.0\.0\.1\] for service`)
	r.stop()
}

// TestSubmissionRefusesToStart: configurations by which nobody could log in, or everybody.
func TestSubmissionRefusesToStart(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"cyrus", "smtpd_sasl_type=cyrus", `smtpd_sasl_type \(.*\): there is no cyrus here; set smtpd_sasl_path to a table`},
		{"no table", "smtpd_sasl_path=hash:/nosuch/users", `smtpd_sasl_path \(.*\): .*/nosuch/users`},
		{"no path", "smtpd_sasl_path=smtpd", `smtpd_sasl_type \(.*\): there is no cyrus here`},
		{"option", "smtpd_sasl_security_options=noplain", `smtpd_sasl_security_options \(.*\): unknown word "noplain"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			name, value, _ := strings.Cut(c.value, "=")
			r, _, _ := submissionRelay(t, newSink(t), nil)
			cf := base(nil)
			cf["smtpd_sasl_path"], cf["smtpd_sasl_auth_enable"] = "hash:{dir}/users", "yes"
			cf[name] = value
			r.configure(cf)
			r.write("master.cf", r.smtp+" inet n - n - - smtpd\n")
			out, code := r.run("check", "-c", r.dir)
			if code != 78 {
				t.Errorf("exit status %d", code)
			}
			mustMatch(t, "check", out, c.want)
		})
	}
	r, _, _ := submissionRelay(t, newSink(t), nil)
	r.write("master.cf", r.smtp+" inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes\n")
	out, code := r.run("check", "-c", r.dir)
	if code != 0 {
		t.Errorf("exit status %d", code)
	}
	mustMatch(t, "check", out, `warning: smtpd_tls_auth_only \(listener at master\.cf, line 1\): passwords may come in the clear; set it to yes`)
}

// TestSubmissionByDovecot: users of a real Dovecot, which goes away and comes back.
func TestSubmissionByDovecot(t *testing.T) {
	t.Parallel()
	d := newDovecot(t)
	d.start()
	sink := newSink(t)
	r, submission, submissions := submissionRelay(t, sink, map[string]string{
		"smtpd_sasl_type": "dovecot", "smtpd_sasl_path": d.socket,
		"smtpd_sender_login_maps": "inline:{ {dave@alias.example = dave} }",
	})
	r.start()
	send := func(server, password, how, tlsArg string) (string, int) {
		return login(t, server, "dave@alias.example", "dave", password, tlsArg, "--auth", how)
	}
	for _, c := range []struct{ server, how, tls string }{
		{submission, "PLAIN", "--tls"}, {submission, "LOGIN", "--tls"}, {submissions, "CRAM-MD5", "--tls-on-connect"},
	} {
		out, code := send(c.server, "dave's secret", c.how, c.tls)
		if code != 0 {
			t.Fatalf("%s: exit status %d\n%s\n%s\n%s", c.how, code, out, r.log(), d.log())
		}
		mustMatch(t, "swaks", out, `250-AUTH (PLAIN|LOGIN|CRAM-MD5|[ -])+\r?\n`)
	}
	r.waitLog(`sasl_method=CRAM-MD5, sasl_username=dave`)
	out, code := send(submission, "guess", "PLAIN", "--tls")
	if code == 0 {
		t.Errorf("accepted\n%s", out)
	}
	mustMatch(t, "swaks", out, `535 5\.7\.8 Error: authentication failed: `)
	d.stop()
	out, _ = send(submission, "dave's secret", "PLAIN", "--tls")
	mustMatch(t, "swaks", out, `454 4\.7\.0 Temporary authentication failure: `)
	d.start()
	if out, code := send(submission, "dave's secret", "PLAIN", "--tls"); code != 0 {
		t.Errorf("Dovecot is back: exit status %d\n%s\n%s", code, out, d.log())
	}
	r.stop()
}

// dovecot is a Dovecot of the test's own, with its auth service alone.
type dovecot struct {
	t           *testing.T
	dir, socket string
	cmd         *exec.Cmd
}

func newDovecot(t *testing.T) *dovecot {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "dovecot") // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	d := &dovecot{t: t, dir: dir, socket: dir + "/auth-client"}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	conf := strings.NewReplacer("DIR", dir, "USER", me.Username).Replace(`base_dir = DIR/run
state_dir = DIR/state
log_path = DIR/log
ssl = no
protocols =
default_internal_user = USER
default_login_user = USER
auth_mechanisms = plain login cram-md5
first_valid_uid = 0
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%u DIR/passwd
}
userdb {
  driver = static
  args = uid=0 gid=0 home=/nonexistent
}
service auth {
  user = USER
  chroot =
  unix_listener DIR/auth-client {
    mode = 0666
  }
}
service anvil {
  chroot =
}
`)
	for name, text := range map[string]string{"dovecot.conf": conf, "passwd": "dave:{PLAIN}dave's secret\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func (d *dovecot) start() {
	d.t.Helper()
	d.cmd = exec.Command("/usr/sbin/dovecot", "-F", "-c", d.dir+"/dovecot.conf")
	out, err := os.Create(d.dir + "/out")
	if err != nil {
		d.t.Fatal(err)
	}
	defer out.Close()
	d.cmd.Stdout, d.cmd.Stderr = out, out
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	cmd := d.cmd
	d.t.Cleanup(func() { end(cmd) })
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(d.socket); err == nil {
			return
		}
	}
	said, _ := os.ReadFile(out.Name())
	d.t.Fatalf("Dovecot does not come up\n%s\n%s", said, d.log())
}

func (d *dovecot) stop() { end(d.cmd) }

// end ends a Dovecot with its processes, of which those that have clients would go on for
// half a minute.
func end(cmd *exec.Cmd) {
	if cmd.ProcessState != nil {
		return
	}
	cmd.Process.Signal(syscall.SIGTERM)
	cmd.Wait()
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
}

func (d *dovecot) log() string {
	b, _ := os.ReadFile(d.dir + "/log")
	return string(b)
}
