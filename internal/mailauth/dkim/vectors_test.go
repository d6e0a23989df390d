package dkim

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/mail"
)

// TestChasquidVectors: the cases of another implementation, where ALIASMX_VECTORS names the
// folder that has them. One thing differs on purpose: a signature that leaves a part of the
// body unsigned verifies for chasquid, and is policy here (RFC 6376 section 8.2).
func TestChasquidVectors(t *testing.T) {
	dir := os.Getenv("ALIASMX_VECTORS")
	if dir == "" {
		t.Log("ALIASMX_VECTORS names no folder: not run")
		return
	}
	files, err := filepath.Glob(filepath.Join(dir, "dkim/chasquid/*.msg"))
	if err != nil || len(files) < 11 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(file, ".msg")
		t.Run(filepath.Base(name), func(t *testing.T) {
			o := VerifyOptions{Resolver: vectorZone(t, vector(t, name+".dns")).Resolver(), Max: 5}
			sigs, err := Verify(t.Context(), bytes.NewReader(vector(t, file)), o)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(name + ".result"); err != nil {
				if len(sigs) > 0 {
					t.Errorf("not a message: %+v", sigs)
				}
				return
			}
			var want struct {
				Results []struct{ Domain, Selector, B, State, Error string }
			}
			if err := json.Unmarshal(vector(t, name+".result"), &want); err != nil {
				t.Fatal(err)
			}
			if len(sigs) != len(want.Results) {
				t.Fatalf("%d signatures, want %d", len(sigs), len(want.Results))
			}
			for i, w := range want.Results {
				got, state := sigs[i], map[mail.AuthResult]string{mail.AuthPass: "SUCCESS", mail.AuthTempError: "TEMPFAIL"}[sigs[i].Result]
				switch {
				case got.Result == mail.AuthPolicy && got.BodyLength:
					state = "SUCCESS"
				case state == "":
					state = "PERMFAIL"
				}
				if state != w.State {
					t.Errorf("signature %d: got %+v, want %s %s", i, got, w.State, w.Error)
				}
				if w.Domain != "" && (got.Domain != w.Domain || got.Selector != w.Selector || !strings.HasPrefix(w.B, got.B) || got.B == "") {
					t.Errorf("signature %d: %+v is not the one of %+v", i, got, w)
				}
			}
		})
	}
}

// vector reads a file, or the one that it names.
func vector(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	if name := string(bytes.TrimSpace(text)); !strings.ContainsAny(name, " \n/") && strings.Contains(name, ".") {
		return vector(t, filepath.Join(filepath.Dir(file), name))
	}
	return text
}

// vectorZone reads "name: text", with a backslash before line ends.
func vectorZone(t *testing.T, text []byte) *dnstest.Zone {
	z := dnstest.New(t, "")
	for line := range strings.SplitSeq(strings.ReplaceAll(string(text), "\\\n", ""), "\n") {
		name, value, found := strings.Cut(line, ":")
		switch value = strings.TrimSpace(value); {
		case !found:
		case value == "TEMPERROR":
			z.Fail(name, dnstest.ServFail)
		case value == "PERMERROR": // there is no such name
		default:
			z.AddTXT(name, value)
		}
	}
	return z
}
