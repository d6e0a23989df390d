package integration

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Configuration that cannot work stops the start: one line, exit status 78, and
// nothing left running.
func TestConfigurationThatCannotWork(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()

	for _, c := range []struct {
		name    string
		change  func(cf map[string]string, r *relay)
		message string
	}{
		{"unclosed brace", func(cf map[string]string, _ *relay) { cf["relayhost"] = "${myhostname" },
			`main\.cf, line \d+: .*relayhost.*missing '\}'`},
		{"parameter that names itself", func(cf map[string]string, _ *relay) { cf["myorigin"] = "$mydomain"; cf["mydomain"] = "$myorigin" },
			`main\.cf, line \d+: .*(loop|recursi|itself)`},
		{"no equals sign", func(cf map[string]string, r *relay) { cf["relayhost"] = "x\nnonsense" },
			`main\.cf, line \d+: .*"?=`},
		{"wrong type", func(cf map[string]string, _ *relay) { cf["message_size_limit"] = "large" },
			`main\.cf, line \d+: .*message_size_limit.*large`},
		{"reject code out of range", func(cf map[string]string, _ *relay) { cf["unknown_virtual_alias_reject_code"] = "250" },
			`main\.cf, line \d+: .*unknown_virtual_alias_reject_code.*250`},
		{"unknown table type", func(cf map[string]string, _ *relay) { cf["virtual_alias_maps"] = "nosuch:/etc/x" },
			`virtual_alias_maps.*nosuch`},
		{"table file missing", func(cf map[string]string, _ *relay) { cf["virtual_alias_maps"] = "hash:{dir}/absent" },
			`virtual_alias_maps.*absent.*postmap`},
		{"table file is a directory", func(cf map[string]string, r *relay) {
			os.Mkdir(filepath.Join(r.dir, "folder"), 0o755)
			cf["virtual_alias_maps"] = "texthash:{dir}/folder"
		}, `virtual_alias_maps.*folder.*directory`},
		{"damaged table", func(cf map[string]string, r *relay) {
			path := filepath.Join(r.dir, "virtual.db")
			b, _ := os.ReadFile(path)
			os.WriteFile(path, b[:len(b)/2], 0o644)
		}, `virtual_alias_maps.*virtual\.db`},
		{"unknown restriction", func(cf map[string]string, _ *relay) {
			cf["smtpd_relay_restrictions"] = "permit_mynetworks, reject_unauth_destinations"
		}, `smtpd_relay_restrictions.*reject_unauth_destinations`},
		{"no relay control at all", func(cf map[string]string, _ *relay) {
			cf["smtpd_relay_restrictions"] = "permit_mynetworks"
			cf["smtpd_recipient_restrictions"] = "permit"
		}, `smtpd_relay_restrictions.*reject_unauth_destination`},
		{"table that permits everybody", func(cf map[string]string, _ *relay) {
			cf["smtpd_relay_restrictions"] = "check_client_access static:OK, reject_unauth_destination"
		}, `smtpd_relay_restrictions \(.*main\.cf, line \d+; .*check_client_access static:OK permits every stranger`},
		{"everybody may say XCLIENT", func(cf map[string]string, _ *relay) { cf["smtpd_authorized_xclient_hosts"] = "0.0.0.0/0" },
			`smtpd_authorized_xclient_hosts \(.*main\.cf, line \d+\): the whole Internet`},
		{"header check that does nothing", func(cf map[string]string, r *relay) {
			r.write("header_checks", "/^Subject: ok/ WARN\n/^Subject: bad/ REJCT\n")
			cf["header_checks"] = "regexp:{dir}/header_checks"
		}, `header_checks \(.*main\.cf, line \d+\): .*/header_checks, line 2: unknown command in header_checks map: REJCT`},
		{"parameter that meant to protect", func(cf map[string]string, _ *relay) { cf["smtpd_proxy_filter"] = "127.0.0.1:8891" },
			`main\.cf, line \d+: .*smtpd_proxy_filter`},
		{"port taken", func(_ map[string]string, r *relay) {
			r.write("master.cf", taken.Addr().String()+" inet n - n - - smtpd\n")
		}, `master\.cf, line 1: .*(in use|taken)`},
		{"queue directory is a file", func(cf map[string]string, r *relay) {
			os.WriteFile(filepath.Join(r.top, "file"), nil, 0o644)
			cf["queue_directory"] = "{top}/file"
		}, `queue_directory.*not a directory`},
	} {
		t.Run(c.name, func(t *testing.T) {
			cf := base(nil)
			r := newRelay(t, cf, nil)
			c.change(cf, r)
			r.configure(cf)
			r.launch()
			select {
			case <-r.done:
			case <-time.After(limit):
				t.Fatalf("it started: %s", r.out)
			}
			if code := r.cmd.ProcessState.ExitCode(); code != 78 {
				t.Errorf("exit status %d, want 78", code)
			}
			fatal := regexp.MustCompile(`(?m)^.*fatal: .*$`).FindAllString(r.out.String(), -1)
			if len(fatal) != 1 {
				t.Fatalf("%d fatal lines, want one:\n%s", len(fatal), r.out)
			}
			mustMatch(t, "fatal line", fatal[0], c.message)
			if conn, err := net.Dial("tcp", r.smtp); err == nil {
				conn.Close()
				t.Errorf("something listens")
			}
			// check says the same before anybody starts anything.
			if c.name != "port taken" && !strings.HasPrefix(c.name, "queue directory") {
				out, code := r.run("check", "-c", r.dir)
				if code != 78 {
					t.Errorf("check: exit status %d, want 78", code)
				}
				mustMatch(t, "check", out, c.message)
			}
		})
	}
}

// A queue directory that belongs to another user is refused.
func TestQueueDirectoryOfAnother(t *testing.T) {
	cf := base(nil)
	r := newRelay(t, cf, nil)
	if err := os.Chown(filepath.Join(r.top, "queue"), 65533, 65533); err != nil {
		t.Fatalf("this test gives a directory to another user, for which it must run as root: %v", err)
	}
	r.launch()
	<-r.done
	if code := r.cmd.ProcessState.ExitCode(); code != 78 {
		t.Errorf("exit status %d, want 78", code)
	}
	mustMatch(t, "output", r.out.String(), `fatal: queue_directory.*belongs to user 65533`)
}

// A second daemon on the same queue ends at once; the first goes on.
func TestSecondDaemon(t *testing.T) {
	sink := newSink(t)
	r := newRelay(t, base(sink), nil)
	r.start()
	second := *r
	r.write("master.cf", freeAddr(t)+" inet n - n - - smtpd\n")
	second.launch()
	<-second.done
	if code := second.cmd.ProcessState.ExitCode(); code != 78 {
		t.Errorf("exit status %d, want 78", code)
	}
	mustMatch(t, "output", second.out.String(), `fatal: .*in use by another process`)
	if out, code := swaks(t, r, "--to", "info@alias.example"); code != 0 {
		t.Errorf("the first daemon suffers:\n%s", out)
	}
}
