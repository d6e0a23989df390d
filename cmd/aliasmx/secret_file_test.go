package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Files of keys and secrets are for their owner to change, and not for everybody to read.
func TestReadSecret(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "secret")
	if err := os.WriteFile(file, []byte("0123456789abcdef0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[os.FileMode]string{
		0o600: "", 0o400: "", 0o640: "", 0o440: "", 0o700: "",
		0o620: "its group may change it", 0o660: "its group may change it",
		0o604: "everybody on this machine", 0o602: "everybody on this machine", 0o644: "everybody on this machine", 0o666: "everybody on this machine",
	} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		if want != "" {
			want = fmt.Sprintf("%s: %s", file, want)
		}
		_, err := readSecret(file)
		_, list := secretsIn(file)
		_, dkim := readKey(file)
		_, arc := arcKey(file)
		for name, err := range map[string]error{"readSecret": err, "secretsIn": list, "readKey": dkim, "arcKey": arc} {
			switch {
			case want == "" && err != nil && !strings.Contains(err.Error(), "no private key"),
				want != "" && (err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), fmt.Sprintf("(mode %04o); chmod g-w,o= ", mode))):
				t.Errorf("%s, mode %04o: %v, want %q", name, mode, err, want)
			}
		}
	}
	if _, err := readSecret(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, odd := range []string{dir, pipe} {
		if _, err := readSecret(odd); err == nil || !strings.Contains(err.Error(), "is not a regular file") {
			t.Errorf("%s: %v", odd, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "large"), make([]byte, maxSecretFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readSecret(filepath.Join(dir, "large")); err == nil {
		t.Error("a file of any size")
	}
}
