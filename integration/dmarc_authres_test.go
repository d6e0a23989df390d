package integration

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth/authres"
)

// Python's authres, which dkimpy and others write and read Authentication-Results with, reads
// what we write, and we read what it writes. It takes no backslash out of a text in quotes, so
// that there are none here.

const authresScript = `
import json, sys
from authres import AuthenticationResultsHeader
out = []
for field in json.load(sys.stdin):
    h = AuthenticationResultsHeader.parse(field)
    out.append({"id": h.authserv_id, "again": str(h), "results": [
        [r.method, r.result, r.reason or ""] + [x for p in r.properties for x in (p.type, p.name, p.value)] for r in h.results]})
json.dump(out, sys.stdout)
`

type pythonField struct {
	ID, Again string
	Results   [][]string
}

// flat is a field as the script shows it: comments are not kept there.
func flat(methods []authres.Method) [][]string {
	out := [][]string{}
	for _, m := range methods {
		line := []string{m.Name, string(m.Result), m.Reason}
		for _, p := range m.Properties {
			line = append(line, p.Type, p.Name, p.Value)
		}
		out = append(out, line)
	}
	return out
}

func TestAuthenticationResultsAsPython(t *testing.T) {
	t.Parallel()
	property := func(ptype, name, value string) []authres.Property {
		return []authres.Property{{Type: ptype, Name: name, Value: value}}
	}
	var all [][]authres.Method
	all = append(all, nil)
	for _, result := range []mail.AuthResult{mail.AuthNone, mail.AuthPass, mail.AuthFail, mail.AuthSoftFail, mail.AuthNeutral, mail.AuthPolicy, mail.AuthTempError, mail.AuthPermError} {
		all = append(all, []authres.Method{{Name: "spf", Result: result, Properties: property("smtp", "mailfrom", "a.example")}})
	}
	for _, value := range []string{"a.example", "b@a.example", "SRS0=h=t=o.example=l+v@a.example", "x; dkim=pass", "2001:db8::1", "[192.0.2.1]", "(x)", "a/b+c==", "b\r\nBcc: x", strings.Repeat("long words ", 30)} {
		all = append(all, []authres.Method{
			{Name: "dkim", Result: mail.AuthFail, Reason: value, Comment: value + ")(", Properties: property("header", "b", value)},
			{Name: "dmarc", Result: mail.AuthPass, Properties: append(property("header", "from", "a.example"), property("policy", "dmarc", "reject")...)},
		})
	}
	var fields []string
	for _, methods := range all {
		fields = append(fields, strings.ReplaceAll(string(authres.Format("mx.a.example", methods)), "\r\n", "")) // it wants fields unfolded
	}
	in, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/usr/bin/python3", "-c", authresScript)
	cmd.Stdin = bytes.NewReader(in)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v; integration/test installs what the tests need\n%s", err, problems.String())
	}
	var got []pythonField
	if err := json.Unmarshal(out, &got); err != nil || len(got) != len(fields) {
		t.Fatalf("%d fields, %v", len(got), err)
	}
	for i, g := range got {
		_, want, err := authres.Parse([]byte(strings.TrimPrefix(fields[i], "Authentication-Results:")))
		if err != nil {
			t.Fatalf("%q: %v", fields[i], err)
		}
		if g.ID != "mx.a.example" || !reflect.DeepEqual(g.Results, flat(want)) {
			t.Errorf("%q\nis to Python %q, %q\nand to us %q", fields[i], g.ID, g.Results, flat(want))
		}
		id, again, err := authres.Parse([]byte(strings.TrimPrefix(g.Again, "Authentication-Results:")))
		if err != nil || id != g.ID || !reflect.DeepEqual(flat(again), flat(want)) {
			t.Errorf("Python wrote %q\nwhich is to us %q, %q, %v", g.Again, id, flat(again), err)
		}
	}
}
