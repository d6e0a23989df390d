package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each table on the way of an address is named, with the line that decides.
func TestExplainRewriting(t *testing.T) {
	dir := explainDir(t, explainMainCF+strings.Join([]string{
		"recipient_canonical_maps = texthash:DIR/canonical", "recipient_bcc_maps = texthash:DIR/bcc",
		"transport_maps = texthash:DIR/transport", "relocated_maps = texthash:DIR/relocated", "",
	}, "\n"))
	for name, text := range map[string]string{
		"canonical": "# one\nold@virt.example info@virt.example\n",
		"bcc":       "# one\n\ninfo@virt.example archive@dest.example\n",
		"transport": "dest.example smtp:[10.0.0.1]:2525\n",
		"relocated": "\nmoved@virt.example new@elsewhere.example\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for addr, c := range map[string]struct {
		status int
		want   []string
	}{
		"old@virt.example": {0, []string{
			"old@virt.example -> info@virt.example  (DIR/canonical, line 2)", "DIR/virtual, line 2",
			"archive@dest.example  (recipient_bcc_maps, DIR/bcc, line 3)", "next hop [10.0.0.1]:2525  (DIR/transport, line 1, by the entry dest.example)"}},
	} {
		status, stdout, stderr := explain(t, "-c", dir, addr)
		for _, w := range c.want {
			if !strings.Contains(stdout, strings.ReplaceAll(w, "DIR", dir)) {
				t.Errorf("%s: no %q in\n%s", addr, w, strings.ReplaceAll(stdout, dir, "DIR"))
			}
		}
		if status != c.status || stderr != "" {
			t.Errorf("%s: status %d, %s", addr, status, stderr)
		}
		// The same steps are in the JSON.
		again, asJSON, _ := explain(t, "-c", dir, "--json", addr)
		var doc struct{ Steps []string }
		if err := json.Unmarshal([]byte(asJSON), &doc); err != nil || again != status {
			t.Fatalf("%v, status %d", err, again)
		}
		if got := strings.Join(doc.Steps, "\n") + "\n"; got != stdout {
			t.Errorf("%s: JSON has\n%s", addr, got)
		}
	}
	status, stdout, stderr := explain(t, "-c", dir, "moved@virt.example")
	if status != 1 || !strings.Contains(stdout, "5.1.6 User has moved to new@elsewhere.example") {
		t.Errorf("moved: status %d\n%s%s", status, stdout, stderr)
	}
}
