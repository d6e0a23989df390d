package main

import "testing"

func TestNamesTable(t *testing.T) {
	for path, want := range map[string]bool{
		"smtpd": false, "private/auth": false, "/var/run/dovecot/auth": false, "inet:127.0.0.1:12345": false, "unix:private/auth": false, "": false,
		"hash:/etc/aliasmx/users": true, "inline:{joe=x}": true, "proxy:pgsql:/etc/aliasmx/users.cf": true, "sqlite:/x": true, "/odd:path/auth": false,
	} {
		if got := namesTable(path); got != want {
			t.Errorf("namesTable(%q) = %t, want %t", path, got, want)
		}
	}
}
