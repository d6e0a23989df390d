package pebblestore_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"aliasmx/queue/pebblestore"
)

// wantPrivate wants everything below a directory to be its owner's alone.
func wantPrivate(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		want := os.FileMode(0o600)
		if e.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %04o, want %04o", path, info.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestUmask: whatever the umask of the starter, nobody else can read the queue, and its
// owner can. (The umask is the process's: this test runs alone.)
func TestUmask(t *testing.T) {
	for _, mask := range []int{0, 0o022, 0o077, 0o177} {
		old := syscall.Umask(mask)
		dir := t.TempDir() + "/queue"
		s, err := pebblestore.Open(pebblestore.Options{Dir: dir})
		if err == nil {
			for _, size := range []int{100, 300_000} {
				if _, perr := put(s, rand.New(rand.NewPCG(1, 1)), size); perr != nil {
					t.Errorf("umask %04o: %v", mask, perr)
				}
			}
			wantPrivate(t, dir)
			err = s.Close()
		}
		syscall.Umask(old)
		if err != nil {
			t.Errorf("umask %04o: %v", mask, err)
			continue
		}
		wantPrivate(t, dir)
	}
}

// TestReadersAreShutOut: files that others could read are mended, with a word in the log,
// once.
func TestReadersAreShutOut(t *testing.T) {
	dir := t.TempDir() + "/queue"
	s := mustOpen(t, pebblestore.Options{Dir: dir})
	if _, err := put(s, rand.New(rand.NewPCG(1, 1)), 300_000); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	buckets, _ := filepath.Glob(dir + "/big/??")
	for _, path := range append(buckets, dir, dir+"/db", dir+"/big") {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir+"/format", 0o644); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		log := &logBook{}
		s = mustOpen(t, pebblestore.Options{Dir: dir, Log: log.logger()})
		wantPrivate(t, dir)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if told := strings.Contains(log.String(), "others could read 5 of its files"); told != (i == 0) {
			t.Errorf("start %d: %s", i, log)
		}
	}
}

// TestOneSeam: all that this package does to files goes through vfs.FS, so that tests can
// let every operation fail and cut the power at every moment. What the real disk needs
// beyond that is in disk.go.
func TestOneSeam(t *testing.T) {
	// What is no file operation.
	allowed := map[string][]string{
		"os":            {"FileMode", "FileInfo", "ModeSticky", "ModeSymlink", "Geteuid", "Exit"},
		"syscall":       {"Stat_t", "ENOSPC", "EDQUOT", "EIO", "ENOLCK", "ENOTDIR"},
		"io/fs":         {"ErrNotExist", "ErrPermission", "PathError"},
		"os/user":       {},
		"path/filepath": {},
	}
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	files, uses := 0, 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || name == "disk.go" {
			continue
		}
		files++
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		called := make(map[string]string) // what a package is called here
		for _, imp := range file.Imports {
			path := strings.Trim(imp.Path.Value, `"`)
			if path == "io/ioutil" || path == "golang.org/x/sys/unix" || path == "os/exec" {
				t.Errorf("%s: import of %s", set.Position(imp.Pos()), path)
			}
			as := filepath.Base(path)
			if imp.Name != nil {
				as = imp.Name.Name
			}
			called[as] = path
		}
		ast.Inspect(file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := sel.X.(*ast.Ident)
			if !ok || pkg.Obj != nil { // a variable
				return true
			}
			names, watched := allowed[called[pkg.Name]]
			if !watched {
				return true
			}
			uses++
			if !slices.Contains(names, sel.Sel.Name) {
				t.Errorf("%s: %s.%s is beside the seam: use the store's vfs.FS", set.Position(sel.Pos()), pkg.Name, sel.Sel.Name)
			}
			return true
		})
	}
	if files < 20 || uses < 10 {
		t.Errorf("only %d files with %d uses were looked at", files, uses)
	}
}
