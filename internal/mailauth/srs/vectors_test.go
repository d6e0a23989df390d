package srs

import (
	"strings"
	"testing"
	"time"

	"aliasmx/integration/smuggle"
	"aliasmx/internal/mail"
)

// What PostSRSd 2 answers to its own tests, at a fixed time under a fixed secret.

type common struct {
	Secret    string
	Now       int64  `json:"now_unix"`
	Domain    string `json:"srs_domain"`
	Separator string
	Length    int `json:"hash_length"`
	Minimum   int `json:"hash_minimum"`
}

func (c common) codec(t *testing.T) *Codec {
	t.Helper()
	codec, err := New(Options{
		Domain: c.Domain, Secrets: []string{c.Secret}, Separator: c.Separator[0], HashLength: c.Length, HashMinimum: c.Minimum,
		Now: func() time.Time { return time.Unix(c.Now, 0) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return codec
}

// longer tells an answer that does not fit into a path. PostSRSd sends it all the same.
func longer(address string) bool { return len(address)+len("<>") > maxPath }

// answer is what the socket map says of an answer of ours: "" for NOTFOUND and PERM.
func answer(a mail.Address, err error, asked string) string {
	if err != nil || a.Internal() == asked {
		return "" // nothing to rewrite
	}
	return a.Internal()
}

func TestSocketmapVectors(t *testing.T) {
	var file struct {
		Common    common
		Stateless []struct{ Comment, Query, Reply string }
	}
	smuggle.Read(t, "../srs/postsrsd-socketmap.json", &file)
	codec, asked := file.Common.codec(t), 0
	for _, v := range file.Stateless {
		verb, address, _ := strings.Cut(v.Query, " ")
		rewrite := map[string]func(mail.Address) (mail.Address, error){"forward": codec.Forward, "reverse": codec.Reverse}[verb]
		if rewrite == nil {
			continue // a query that the protocol does not have
		}
		asked++
		want, _ := strings.CutPrefix(v.Reply, "OK ")
		if strings.HasPrefix(v.Reply, "NOTFOUND") || strings.HasPrefix(v.Reply, "PERM") || verb == "forward" && longer(want) {
			want = ""
		}
		got, err := rewrite(mail.SplitAddress(address))
		if answer(got, err, address) != want {
			t.Errorf("%s: %.100s: got %v, %v; want %.100s", v.Comment, v.Query, got, err, v.Reply)
		}
	}
	if asked < 25 {
		t.Errorf("only %d queries", asked)
	}
}

func TestUnitVectors(t *testing.T) {
	type vector struct{ Address, Result, Error string }
	var file struct {
		Common           common
		Forward, Reverse []vector
	}
	smuggle.Read(t, "../srs/postsrsd-srs2-unit.json", &file)
	codec := file.Common.codec(t)
	check := func(list []vector, rewrite func(mail.Address) (mail.Address, error)) {
		if len(list) < 2 {
			t.Errorf("only %d vectors", len(list))
		}
		for _, v := range list {
			got, err := rewrite(mail.SplitAddress(v.Address))
			if got.Internal() != v.Result || (err != nil) != (v.Error != "") {
				t.Errorf("%s: got %v, %v; want %q %s", v.Address, got, err, v.Result, v.Error)
			}
		}
	}
	check(file.Forward, codec.Forward)
	check(file.Reverse, codec.Reverse)
}

// The vectors of the milter, as far as they are about addresses; whose mail is rewritten is
// decided elsewhere.
func TestMilterVectors(t *testing.T) {
	var file struct {
		Common common
		Cases  map[string][]struct {
			Comment string
			Result  string
			From    string   `json:"mail_from"`
			To      []string `json:"rcpt_to"`
			NewFrom string   `json:"new_mail_from"`
			NewTo   []string `json:"new_rcpt_to"`
		}
	}
	smuggle.Read(t, "../srs/postsrsd-milter.json", &file)
	codec, asked := file.Common.codec(t), 0
	for _, v := range file.Cases["STATELESS_QUERIES"] {
		if v.NewFrom != "" {
			asked++
			got, err := codec.Forward(mail.SplitAddress(v.From))
			if longer(v.NewFrom) != (err == ErrTooLong) || err == nil && got.Internal() != v.NewFrom {
				t.Errorf("%s: got %v, %v; want %s", v.Comment, got, err, v.NewFrom)
			}
		}
		var rewritten []string
		for _, to := range v.To {
			a, err := codec.Reverse(mail.SplitAddress(to))
			if ours := strings.HasSuffix(strings.ToLower(to), "@"+file.Common.Domain); v.Result == "r" && ours && (err == nil || err == ErrNotSRS) {
				t.Errorf("%s: %s was taken for %v, %v", v.Comment, to, a, err)
			}
			if err == nil {
				rewritten = append(rewritten, a.Internal())
			}
			asked++
		}
		if v.Result == "a" && strings.Join(rewritten, " ") != strings.Join(v.NewTo, " ") {
			t.Errorf("%s: got %q, want %q", v.Comment, rewritten, v.NewTo)
		}
	}
	if asked < 25 {
		t.Errorf("only %d addresses", asked)
	}
}
