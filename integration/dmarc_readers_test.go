package integration

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"aliasmx/internal/mailauth/dmarc"
)

// Two readers of Python's own, old and new, on From fields as chance makes them of what they
// are made of: no author that either of them sees is unknown to us.

const readersScript = `
import json, sys, email, email.policy, email.utils
out = []
for value in json.load(sys.stdin):
    seen = [a for _, a in email.utils.getaddresses([value])]
    try:
        m = email.message_from_string("From: " + value + "\n\n", policy=email.policy.default)
        seen += [a.addr_spec for f in m.get_all("From", []) for a in f.addresses]
    except Exception:
        pass # it gives up on some
    out.append([a.rpartition("@")[2] for a in seen if "@" in a])
json.dump(out, sys.stdout)
`

func TestAuthorsAsOthersSeeThem(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 0)) // always the same: what Python sees is not ours to mend
	parts := []string{"a", "b", "@", "@", "one.example", "two.example", " ", " ", "<", ">", "<a@one.example>", "b@two.example", ",", ";", ":", "(x)", "(", ")", `"`, `"q"`, `"a@one.example"`,
		`\`, ".", "[", "]", "=?utf-8?q?a=40one.example?=", "\t", "us: ", "'", "%", "!", "@one.example,@two.example:", "Name "}
	var values []string
	for range 20000 {
		var b strings.Builder
		for range 1 + rnd.IntN(7) {
			b.WriteString(parts[rnd.IntN(len(parts))])
		}
		values = append(values, b.String())
	}
	in, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/usr/bin/python3", "-c", readersScript)
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v; integration/test installs what the tests need", err)
	}
	var seen [][]string
	if err := json.Unmarshal(out, &seen); err != nil || len(seen) != len(values) {
		t.Fatalf("%d values, %v", len(seen), err)
	}
	isName := regexp.MustCompile(`^[a-z0-9.-]+\.example$`) // it takes others for domains, too
	read := 0
	for i, value := range values {
		domains, err := dmarc.AuthorDomains([]byte("From: " + value + "\r\n\r\n"))
		if err != nil {
			continue
		}
		read++
		for _, theirs := range seen[i] {
			if theirs = strings.ToLower(strings.TrimSpace(theirs)); !slices.Contains(domains, theirs) && isName.MatchString(theirs) {
				t.Errorf("%q: %q, and Python sees %q", value, domains, theirs)
			}
		}
	}
	if read < 500 {
		t.Errorf("only %d values were read", read)
	}
}
