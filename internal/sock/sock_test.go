package sock

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func listen(t *testing.T, path string) net.Listener {
	t.Helper()
	l, err := Listen(path, 0o666)
	if err != nil {
		t.Fatalf("Listen(%s): %v", path, err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// exchange sends one word through a new connection.
func exchange(t *testing.T, l net.Listener, path string) {
	t.Helper()
	client, err := Dial(path)
	if err != nil {
		t.Fatalf("Dial(%s): %v", path, err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatalf("Accept: %v", err)
	}
	io.WriteString(client, "word")
	client.Close()
	got, err := io.ReadAll(server)
	server.Close()
	if string(got) != "word" || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, "word")
	}
}

func TestPathLengths(t *testing.T) {
	for _, tc := range []struct {
		name string
		dir  string
	}{
		{"short", "d"},
		{"longer than a socket address", strings.Repeat("long-name/", 15)},
		{"with a very long element", strings.Repeat("x", 250)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), tc.dir)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "pickup")
			l := listen(t, path)
			exchange(t, l, path)
			if err := l.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("after Close the socket is still there: %v", err)
			}
		})
	}
}

func TestModeWhateverTheUmask(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	for _, mode := range []fs.FileMode{0o666, 0o600, 0o660} {
		path := filepath.Join(t.TempDir(), "s")
		l, err := Listen(path, mode)
		if err != nil {
			t.Fatal(err)
		}
		st, err := os.Lstat(path)
		if err != nil || st.Mode().Perm() != mode {
			t.Errorf("mode %v: got %v, %v", mode, st.Mode(), err)
		}
		l.Close()
	}
}

func TestWhatIsAtThePath(t *testing.T) {
	for _, tc := range []struct {
		name    string
		prepare func(t *testing.T, path string)
		want    string // part of the error; "" for none
	}{
		{"nothing", func(*testing.T, string) {}, ""},
		{"the socket of a dead process", func(t *testing.T, path string) {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			l.SetUnlinkOnClose(false)
			l.Close()
		}, ""},
		{"the socket of a live process", func(t *testing.T, path string) { listen(t, path) }, "in use by a running process"},
		{"a file", func(t *testing.T, path string) { os.WriteFile(path, []byte("precious"), 0o600) }, "not a socket"},
		{"a directory", func(t *testing.T, path string) { os.Mkdir(path, 0o755) }, "not a socket"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			tc.prepare(t, path)
			l, err := Listen(path, 0o666)
			if tc.want == "" {
				if err != nil {
					t.Fatalf("Listen: %v", err)
				}
				defer l.Close()
				exchange(t, l, path)
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want an error with %q and the path", err, tc.want)
			}
			if _, err := os.Lstat(path); err != nil {
				t.Errorf("what was there is gone: %v", err)
			}
		})
	}
}

func TestMissingDirectory(t *testing.T) {
	short := filepath.Join(t.TempDir(), "none", "s")
	long := filepath.Join(t.TempDir(), strings.Repeat("none/", 30), "s")
	for _, path := range []string{short, long} {
		if _, err := Listen(path, 0o666); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Listen(%s): got %v, want not exist", path, err)
		}
		if _, err := Dial(path); !Down(err) {
			t.Errorf("Dial(%s): got %v, want one that is Down", path, err)
		}
	}
}

func TestErrorsNameThePathOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("x", 200))
	_, err := Dial(path)
	if err == nil || strings.Contains(err.Error(), "/proc/") || strings.Count(err.Error(), "xxx") == 0 {
		t.Errorf("got %v", err)
	}
	path = filepath.Join(t.TempDir(), "s")
	_, err = Dial(path)
	if want := "connect to " + path + ": no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestPeerCred(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l := listen(t, path)
	client, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	got, err := PeerCred(server)
	if want := (Cred{os.Geteuid(), os.Getegid(), os.Getpid()}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if _, err := PeerCred(a); err == nil {
		t.Error("a pipe has no credentials, and yet no error")
	}
}

func TestLimitUsers(t *testing.T) {
	l := &limited{perUser: 2, total: 4, own: 7, open: map[int]int{}}
	for i, tc := range []struct {
		uid   int
		enter bool // else leave
		want  bool
	}{
		{1001, true, true},
		{1001, true, true},
		{1001, true, false}, // its share
		{1002, true, true},
		{1003, true, true},
		{1004, true, false}, // the total
		{0, true, true},     // the superuser always
		{7, true, true},     // and the daemon's own user
		{0, false, false},
		{7, false, false},
		{1001, false, false},
		{1004, true, true},
	} {
		if !tc.enter {
			l.leave(tc.uid)
			continue
		}
		if got := l.enter(tc.uid); got != tc.want {
			t.Errorf("row %d: enter(%d) = %v, want %v", i, tc.uid, got, tc.want)
		}
	}
	for _, uid := range []int{1001, 1002, 1003, 1004} {
		l.leave(uid)
	}
	if l.sum != 0 || len(l.open) != 0 {
		t.Errorf("after the last one left: sum %d, open %v", l.sum, l.open)
	}
}

func TestLimitedConnectionsWork(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l := LimitUsers(listen(t, path), 1, 1)
	for range 3 {
		exchange(t, l, path)
	}
	if lim := l.(*limited); lim.sum != 0 {
		t.Errorf("%d connections counted as open after all were closed", lim.sum)
	}
}
