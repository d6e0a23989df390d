package dane

import (
	"crypto"
	"slices"
	"strings"
	"testing"

	"aliasmx/integration/peers"
)

func TestParseDigests(t *testing.T) {
	for _, c := range []struct {
		words string
		want  []Digest
		err   string
	}{
		{"", []Digest{}, ""},
		{"sha512 sha256", []Digest{{2, crypto.SHA512}, {1, crypto.SHA256}}, ""},
		{"SHA256=1 sha512=2", []Digest{{1, crypto.SHA256}, {2, crypto.SHA512}}, ""},
		{"sha3-512=5 sha256 =4", []Digest{{5, crypto.SHA3_512}, {1, crypto.SHA256}}, ""},
		{"sha384", nil, "sha384: digest algorithm needs an explicit number; write sha384=NUMBER"},
		{"sha256=2", nil, "sha256=2: matching type 2 can only be sha512"},
		{"sha512=1", nil, "sha512=1: matching type 1 can only be sha256"},
		{"md4=3", nil, "md4=3: digest algorithm unknown; write sha512 or sha256"},
		{"sha256 sha256", nil, "sha256: matching type 1 specified more than once"},
		{"sha384=0", nil, "sha384=0: reserved matching type number; write one from 1 to 254"},
		{"sha384=255", nil, "sha384=255: reserved matching type number; write one from 1 to 254"},
		{"sha384=x", nil, "sha384=x: invalid matching type number; write one from 1 to 254"},
	} {
		got, err := ParseDigests(strings.Fields(c.words))
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != c.err || !slices.Equal(got, c.want) || err == nil && got == nil {
			t.Errorf("%q: %v, %q; want %v, %q", c.words, got, text, c.want, c.err)
		}
	}
}

// Of several digests of one thing the best counts alone, and the thing itself always
// (RFC 7671 section 9).
func TestAgility(t *testing.T) {
	leaf, other := issue(t, nil, "mx.dest.example", nil), issue(t, nil, "mx.dest.example", nil)
	r := func(c *peers.Cert, selector, match uint8) record { return about(c, usageEE, selector, match) }
	for _, c := range []struct {
		name    string
		records []record
		ok      bool
	}{
		{"best wrong, weaker right", []record{r(leaf, 1, 1), r(other, 1, 2)}, false},
		{"best right, weaker wrong", []record{r(other, 1, 1), r(leaf, 1, 2)}, true},
		{"weaker right alone", []record{r(leaf, 1, 1)}, true},
		{"of another selector", []record{r(leaf, 0, 1), r(other, 1, 2)}, true},
		{"of another usage", []record{r(leaf, 1, 1), about(other, usageTA, 1, 2)}, true},
		{"in full", []record{r(leaf, 1, 0), r(other, 1, 2)}, true},
		{"weaker right beside the wrong one in full", []record{r(leaf, 1, 1), r(other, 1, 0)}, true},
	} {
		if got := judge(names, c.records, leaf); got.Matched != c.ok {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	// The order is the operator's.
	weak := []Digest{{1, crypto.SHA256}, {2, crypto.SHA512}}
	if got := agile([]record{r(leaf, 1, 1), r(other, 1, 2)}, weak); len(got) != 1 || got[0].match != 1 {
		t.Errorf("%v", got)
	}
	if f := r(leaf, 1, 2).fault(weak[:1]); f != ": unusable TLSA RR" {
		t.Errorf("a digest that is not named: %q", f)
	}
}
