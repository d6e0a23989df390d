package house_test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestSlimBuildHasNoDrivers: a build with the tag slim is free of the heavy table drivers,
// and so is every package but those that are about one.
func TestSlimBuildHasNoDrivers(t *testing.T) {
	drivers := map[string]string{
		"modernc.org/sqlite":             "aliasmx/internal/table/sqlitetable",
		"github.com/jackc/pgx/v5/pgconn": "aliasmx/internal/table/sqltable",
		"github.com/go-sql-driver/mysql": "aliasmx/internal/table/sqltable",
		"github.com/go-ldap/ldap/v3":     "aliasmx/internal/table/ldaptable",
	}
	list := func(args ...string) []string {
		out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
		if err != nil {
			t.Fatalf("go list %s: %v", strings.Join(args, " "), err)
		}
		return strings.Fields(string(out))
	}
	for _, p := range list("-deps", "-tags", "slim", "./cmd/aliasmx") {
		if drivers[p] != "" {
			t.Errorf("the slim build has %s", p)
		}
	}
	for _, line := range strings.Split(strings.Join(list("-f", `{{.ImportPath}}{{range .Imports}},{{.}}{{end}}`, "./..."), "\n"), "\n") {
		imports := strings.Split(line, ",")
		for _, p := range imports[1:] {
			if in := drivers[p]; in != "" && in != imports[0] {
				t.Errorf("%s imports %s; only %s may", imports[0], p, in)
			}
		}
	}
}
