package admin

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestTLSReport(t *testing.T) {
	c := serve(t, Options{Queue: &fakeQueue{}, TLSReport: func(domain string) ([]byte, error) {
		if domain == "none" {
			return nil, errors.New("nothing of none")
		}
		return json.Marshal([]string{domain})
	}})
	for _, domain := range []string{"", "x.example", "odd&domain=y %"} {
		var got []string
		if err := c.TLSReport(t.Context(), domain, &got); err != nil || len(got) != 1 || got[0] != domain {
			t.Errorf("%q: %q, %v", domain, got, err)
		}
	}
	if err := c.TLSReport(t.Context(), "none", nil); err == nil || err.Error() != "nothing of none" {
		t.Errorf("an error comes as %v", err)
	}
	c = serve(t, Options{Queue: &fakeQueue{}})
	if err := c.TLSReport(t.Context(), "", nil); err == nil || !strings.Contains(err.Error(), "there are no TLS reports") {
		t.Errorf("without reports: %v", err)
	}
}
