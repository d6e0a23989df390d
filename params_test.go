package house_test

import (
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"aliasmx/internal/postconf"
)

// TestParameters: a parameter that cmd reads is in the table, and a parameter of the
// table has an effect: cmd reads it, or another parameter's default does. A setting
// without effect has to warn whoever sets it.
func TestParameters(t *testing.T) {
	// What is answered by its default alone, and why.
	without := map[string]string{
		"compatibility_level":   "chooses defaults while the configuration is read",
		"mynetworks_style":      "computes the default of mynetworks",
		"config_directory":      "is where the configuration was read from",
		"stress":                "is in defaults of Postfix",
		"known_tcp_ports":       "names ports while the configuration is read",
		"mail_version":          "is shown by $mail_version",
		"enable_long_queue_ids": "is always yes, see docs/differences.md",
		"default_database_type": "is read by postmap",
		"mydomain":              "is read by name",
	}
	byName := map[string]postconf.Param{}
	defaults := ""
	for _, p := range postconf.Params() {
		byName[p.Name] = p
		if p.Kind != postconf.Unsupported && p.Kind != postconf.Plumbing {
			defaults += " " + p.Default
			if p.Doc == "" {
				t.Errorf("%s has no meaning in one line", p.Name)
			}
		}
	}
	name := regexp.MustCompile(`^[a-z0-9][a-zA-Z0-9_]+$`)
	read := map[string]bool{}
	eachGoFile(t, func(path string, _ []byte, file *ast.File) {
		if !strings.HasPrefix(path, "cmd/") || strings.HasSuffix(path, "_test.go") {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				checkGetter(t, path, call, byName)
			}
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil && name.MatchString(s) {
					read[s] = true
				}
			}
			return true
		})
	})
	for _, p := range byName {
		if p.Kind == postconf.Unsupported || p.Kind == postconf.Plumbing || read[p.Name] || without[p.Name] != "" {
			continue
		}
		if !regexp.MustCompile(`\$[({]?` + p.Name + `\b`).MatchString(defaults) {
			t.Errorf("%s is in the table, but nothing reads it: setting it has no effect and does not warn", p.Name)
		}
	}
}

// checkGetter looks at calls such as cfg.Get("name").
func checkGetter(t *testing.T, path string, call *ast.CallExpr, byName map[string]postconf.Param) {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) != 1 {
		return
	}
	on, ok := sel.X.(*ast.Ident)
	if !ok || on.Name != "cfg" {
		return
	}
	switch sel.Sel.Name {
	case "Get", "Bool", "Int", "Int64", "Duration", "List", "Set", "Where":
	default:
		return
	}
	lit, ok := call.Args[0].(*ast.BasicLit)
	if !ok {
		return
	}
	if s, _ := strconv.Unquote(lit.Value); byName[s].Name == "" || byName[s].Kind == postconf.Unsupported {
		t.Errorf("%s reads %s, which the table of parameters does not have", path, s)
	}
}
