package postconf

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"testing"
)

// machineOf is a machine with the files given, and with the addresses of a usual one.
func machineOf(files map[string]string) System {
	return System{
		Hostname: "vm",
		Interfaces: []netip.Prefix{
			netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128"),
			netip.MustParsePrefix("192.0.2.2/24"), netip.MustParsePrefix("2001:db8::2/64"),
		},
		ReadFile: func(name string) ([]byte, error) {
			if text, ok := files[name]; ok {
				return []byte(text), nil
			}
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		},
		LookupHost: func(_ context.Context, name string) ([]netip.Addr, error) {
			if name == "localhost" {
				return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")}, nil
			}
			return nil, errors.New("no such host")
		},
	}
}

// readMain is Read of a main.cf.
func readMain(t *testing.T, mainCF string) *Config {
	t.Helper()
	return readBoth(t, mainCF, "")
}

// readBoth is Read of a main.cf and a master.cf; an empty one is not there.
func readBoth(t *testing.T, mainCF, masterCF string) *Config {
	t.Helper()
	c, err := Read(optionsOf(mainCF, masterCF))
	if err != nil {
		t.Fatalf("Read(%q, %q): %v", mainCF, masterCF, err)
	}
	return c
}

func optionsOf(mainCF, masterCF string, environ ...string) LoadOptions {
	files := map[string]string{"/etc/test/main.cf": mainCF, "/etc/mailname": "example.org\n", "/empty": "\n"}
	if masterCF != "" {
		files["/etc/test/master.cf"] = masterCF
	}
	files["/etc/services"] = "# services\nsmtp 25/tcp mail\nodd 4000/udp\nodd 4001/tcp other # comment\n"
	return LoadOptions{Dir: "/etc/test", Environ: environ, System: machineOf(files)}
}

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	name = "testdata/" + name
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update rewrites it)\ngot:\n%s\nwant:\n%s", name, got, want)
	}
}
