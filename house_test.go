// Package house_test holds the house: what may import what, how long a file may be,
// what every package has to say of itself. It tests the repository, not the program.
package house_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// arrows says which packages of ours a package may import. cmd wires everything
// together and is free; integration drives the built binary.
var arrows = map[string][]string{
	"smtpd":             {"internal/wire", "internal/mail", "internal/header", "internal/checks"},
	"alias":             {"internal/table", "internal/mail"},
	"queue":             {"internal/mail", "internal/cachefile"},
	"queue/pebblestore": {"queue", "internal/mail"},
	"queue/memstore":    {"queue", "internal/mail"},
	"queue/storetest":   {"queue", "internal/mail"},
	"queue/sim":         {"queue", "internal/mail"},
	"delivery":          {"internal/wire", "internal/mail", "internal/header", "internal/dns", "internal/table", "internal/mechanism", "internal/checks"},
	"internal/bounce":   {"internal/mail", "internal/header"},
	"internal/local":    {"internal/mail", "internal/table", "internal/header"},
	"internal/pickup":   {"internal/mail", "internal/header", "internal/sock", "internal/checks"},
	"internal/checks":   {"internal/mail"},
	"internal/admin":    {"internal/mail", "internal/sock"},
	"internal/maillog":  {"internal/mail"},
	"internal/wire":     {"internal/mail"},
	"internal/mail":     {},
	"internal/header":   {"internal/mail"},
	"internal/table":    {},

	"internal/table/dbtable":     {"internal/table"},
	"internal/table/sqltable":    {"internal/table", "internal/table/dbtable"},
	"internal/table/sqlitetable": {"internal/table", "internal/table/dbtable"},
	"internal/table/ldaptable":   {"internal/table", "internal/table/dbtable"},

	"internal/mailauth/spf": {"internal/mail", "internal/dns"},

	"internal/dns":          {},
	"internal/dns/dnstest":  {"internal/dns"},
	"internal/dane":         {"internal/mail", "internal/dns"},
	"internal/shaping":      {"internal/mail"},
	"internal/tlsrpt":       {"internal/mail", "internal/cachefile", "internal/header"},
	"internal/tlspolicy":    {"internal/mail"},
	"internal/certs":        {},
	"internal/stshost":      {"internal/mail", "internal/mtasts"},
	"internal/postconf":     {},
	"internal/sock":         {},
	"internal/inspect":      {"internal/mail", "internal/dns"},
	"internal/dnscheck":     {"internal/mail", "internal/dns", "internal/mailauth/spf", "internal/mtasts", "internal/tlsrpt", "internal/mailauth/dmarc"},
	"internal/mtasts":       {"internal/mail", "internal/dns", "internal/cachefile"},
	"internal/reversealias": {"internal/mail"},
	"internal/screen":       {"internal/mail", "internal/inspect", "internal/cachefile"},
	"internal/verify":       {"internal/mail", "internal/cachefile"},
	"internal/cachefile":    {},
	"internal/greylist":     {"internal/mail", "internal/cachefile"},
	"internal/reputation":   {"internal/mail", "internal/cachefile"},
	"internal/login":        {"internal/mail", "internal/table", "internal/mechanism"},
	"internal/mechanism":    {},
	"internal/milter":       {"internal/mail"},

	"internal/mailauth": {"internal/mail", "internal/dns", "internal/mailauth/spf", "internal/mailauth/dkim", "internal/mailauth/dmarc",
		"internal/mailauth/arc", "internal/mailauth/authres"},
	"internal/mailauth/authres": {"internal/mail"},
	"internal/mailauth/dmarc":   {"internal/mail", "internal/dns"},

	"integration":       nil,
	"integration/peers": {},
	"integration/talks": {},
	"integration/world": nil,
	"cmd/aliasmx":       nil,

	"integration/smuggle": {},

	"internal/mailauth/srs":  {"internal/mail"},
	"internal/mailauth/arc":  {"internal/mail", "internal/dns", "internal/mailauth/dkim"},
	"internal/mailauth/dkim": {"internal/mail", "internal/dns"},
}

// testOnly lists what a package's tests may import beside its own arrows.
var testOnly = map[string][]string{
	"smtpd":             {"alias", "internal/table", "integration/talks", "integration/smuggle"},
	"queue":             {"queue/memstore", "queue/pebblestore", "queue/storetest"},
	"queue/pebblestore": {"queue/storetest", "queue/memstore"},
	"queue/memstore":    {"queue/storetest"},
	"queue/sim":         {"queue/memstore", "queue/pebblestore"},
	"delivery":          {"integration/smuggle", "integration/peers"},
	"internal/wire":     {"integration/smuggle"},
	"internal/mtasts":   {"integration/smuggle"},
	"internal/dane":     {"integration/peers"},

	"internal/mailauth/spf": {"internal/dns/dnstest", "integration/smuggle"},

	"internal/tlspolicy": {"integration/peers"},

	"internal/mailauth/srs":   {"integration/smuggle"},
	"internal/mailauth/dmarc": {"internal/dns/dnstest", "integration/smuggle"},
	"internal/mailauth/dkim":  {"internal/dns/dnstest"},
	"internal/mailauth":       {"internal/dns/dnstest", "integration/smuggle"},
	"internal/mailauth/arc":   {"internal/dns/dnstest", "integration/smuggle"},
}

type goPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func TestImportArrows(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		room := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, "aliasmx"), "/")
		if room == "" {
			continue
		}
		allowed, known := arrows[room]
		if !known {
			t.Errorf("package %s has no place in the house: add it to arrows, with what it may import", room)
			continue
		}
		if allowed == nil {
			continue
		}
		checkArrows(t, room, p.Imports, allowed)
		checkArrows(t, room+" (tests)", append(p.TestImports, p.XTestImports...), append(append([]string{room}, allowed...), testOnly[room]...))
	}
}

func checkArrows(t *testing.T, room string, imports, allowed []string) {
	for _, imp := range imports {
		ours, ok := strings.CutPrefix(imp, "aliasmx/")
		if ok && !contains(allowed, ours) {
			t.Errorf("%s imports %s: the arrow is not allowed", room, ours)
		}
	}
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// eachGoFile calls f with every Go file of the repository, parsed with comments.
func eachGoFile(t *testing.T, f func(path string, src []byte, file *ast.File)) {
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, src, parser.ParseComments)
		if err != nil {
			return err
		}
		f(path, src, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFileLength(t *testing.T) {
	eachGoFile(t, func(path string, src []byte, _ *ast.File) {
		if n := strings.Count(string(src), "\n"); n > 500 {
			t.Errorf("%s has %d lines; one idea a file, at most 500", path, n)
		}
	})
}

func TestPackageComments(t *testing.T) {
	docs, packages := map[string][]string{}, map[string]bool{}
	eachGoFile(t, func(path string, _ []byte, file *ast.File) {
		dir := filepath.Dir(path)
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		packages[dir] = true
		if file.Doc == nil {
			return
		}
		text := file.Doc.Text()
		docs[dir] = append(docs[dir], path)
		if strings.Count(text, "\n") < 3 {
			t.Errorf("%s: a package comment of fewer than 3 lines", path)
		}
		if !strings.HasPrefix(text, "Package "+file.Name.Name+" ") && !strings.HasPrefix(text, "Command ") {
			t.Errorf("%s: package comment does not begin with \"Package %s \"", path, file.Name.Name)
		}
	})
	for dir := range packages {
		if len(docs[dir]) != 1 {
			t.Errorf("%s has %d package comments %v, want exactly one", dir, len(docs[dir]), docs[dir])
		}
	}
}

// TestNoGlobalState: package variables are errors, tables of data and embedded files,
// and nothing registers itself behind the reader's back.
func TestNoGlobalState(t *testing.T) {
	banned := map[string]bool{"util": true, "utils": true, "common": true, "helper": true, "helpers": true, "manager": true, "base": true, "misc": true}
	eachGoFile(t, func(path string, _ []byte, file *ast.File) {
		if banned[file.Name.Name] {
			t.Errorf("%s: a package is named after what it is about, not %s", path, file.Name.Name)
		}
		for _, d := range file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: init() hides what happens at start", path)
			}
		}
	})
}

// TestOnlyCmdMeetsTheProcess: flags, environment and exit belong to cmd. One exception:
// a store whose sync has failed must end the process even when nobody told it how.
func TestOnlyCmdMeetsTheProcess(t *testing.T) {
	eachGoFile(t, func(path string, _ []byte, file *ast.File) {
		if strings.HasPrefix(path, "cmd/") || strings.HasPrefix(path, "integration/") || strings.HasSuffix(path, "_test.go") ||
			path == "queue/pebblestore/options.go" {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := sel.X.(*ast.Ident)
			if !ok || pkg.Obj != nil {
				return true
			}
			switch name := pkg.Name + "." + sel.Sel.Name; {
			case name == "os.Getenv", name == "os.Environ", name == "os.LookupEnv", name == "os.Exit",
				name == "log.Fatal", name == "log.Fatalf", pkg.Name == "flag", name == "time.Sleep":
				t.Errorf("%s uses %s: that is for cmd alone", path, name)
			}
			return true
		})
	})
}

func TestGoModHasNoReplace(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(mod), "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "replace") {
			t.Errorf("go.mod, line %d: %s: a replace cannot be installed from outside", i+1, line)
		}
	}
}

// TestTestsDoNotSkip: a test that skips itself counts as one that passes.
func TestTestsDoNotSkip(t *testing.T) {
	// The public vectors are not ours to carry: without their folder those tests cannot be,
	// and say so. Our own variants of the same attacks always run.
	vectors := filepath.Join("integration", "smuggle", "smuggle.go")
	eachGoFile(t, func(path string, _ []byte, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if f, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, f.Sel.Name) && path != vectors {
				t.Errorf("%s skips a test", path)
			}
			return true
		})
	})
}
