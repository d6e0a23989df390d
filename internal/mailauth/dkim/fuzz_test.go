package dkim

import (
	"context"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/mail"
)

// FuzzVerify: whatever the message, there are no more results than signatures looked at, each
// has a result and, where it is not pass, a reason; how the message is cut into reads makes no
// difference; and what passes here is good for go-msgauth too, where it has an opinion.
func FuzzVerify(f *testing.F) {
	ed := Key{"a.example", "ed", edKey()}
	z := dnstest.New(f, "")
	z.AddTXT("ed._domainkey.a.example", record(f, ed.Private))
	z.AddTXT("brisbane._domainkey.football.example.com", keyBrisbane)
	z.AddTXT("test._domainkey.football.example.com", keyTest)
	f.Add(rfc8463)
	f.Add(crlf(rfc8463))
	for _, tags := range []map[string]string{
		nil, {"c": "simple/simple"}, {"c": "relaxed/simple", "l": "3"}, {"c": "simple/relaxed", "l": "21"},
		{"h": "from:from:to:cc:dkim-signature"}, {"z": "b=x"}, {"i": "x@sub.a.example"}, {"x": "1"},
	} {
		f.Add(forge(f, ed, tags, plainHeader, plainBody))
		f.Add(forge(f, ed, tags, "From : a\r\n b\r\nX\r\nTo:\r\n", " \t\r\n\r\na \r \n\r\n"))
	}
	resolver := z.Resolver()
	o := VerifyOptions{Resolver: resolver, Max: 3}
	f.Fuzz(func(t *testing.T, message string) {
		sigs, err := Verify(t.Context(), strings.NewReader(message), o)
		if err != nil || len(sigs) > o.Max {
			t.Fatalf("%d signatures, %v", len(sigs), err)
		}
		again, err := Verify(t.Context(), iotest.OneByteReader(strings.NewReader(message)), o)
		if err != nil || !reflect.DeepEqual(sigs, again) {
			t.Errorf("read byte by byte: %+v, %v; before: %+v", again, err, sigs)
		}
		passed := false
		for _, s := range sigs {
			if s.Result == "" || (s.Result == mail.AuthPass) != (s.Reason == "") {
				t.Errorf("%+v", s)
			}
			passed = passed || s.Result == mail.AuthPass
		}
		if passed {
			secondOpinion(t, resolver.TXT, message, sigs)
		}
	})
}

// secondOpinion asks go-msgauth about signatures that pass. It refuses every l=, and reads
// CRs, LFs, whitespace, b= and a signature that names its own field in its own way: then it
// has none.
func secondOpinion(t *testing.T, txt func(context.Context, string) ([]string, error), message string, sigs []Signature) {
	if strings.Count(message, "\r") != strings.Count(message, "\r\n") || strings.Count(message, "\n") != strings.Count(message, "\r\n") ||
		strings.ContainsAny(message, "\v\f\u0085\u00a0") || !strings.Contains(message, "\r\n\r\n") || strings.Contains(message, "z=") || strings.Contains(strings.ToLower(message), ":dkim-signature") {
		return
	}
	for line := range strings.SplitSeq(message[:strings.Index(message, "\r\n\r\n")], "\r\n") {
		if !strings.Contains(line, ":") && !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") {
			return // a name without a colon: for go-msgauth a field
		}
	}
	list, err := msgauth.VerifyWithOptions(strings.NewReader(message), &msgauth.VerifyOptions{
		LookupTXT:        func(name string) ([]string, error) { return txt(t.Context(), name) },
		MaxVerifications: 3,
	})
	if err != nil && err != msgauth.ErrTooManySignatures {
		return
	}
	for i, s := range sigs {
		if s.Result == mail.AuthPass && !s.BodyLength && (i >= len(list) || list[i].Err != nil && !strings.Contains(list[i].Err.Error(), "domain mismatch")) {
			t.Errorf("signature %d passes here, and go-msgauth says %v: %+v", i, list[min(i, len(list)-1)], s)
		}
	}
}

// FuzzTags: a list that is read is the same when it is written and read again, and taking the
// signature out of a field takes nothing else.
func FuzzTags(f *testing.F) {
	for _, s := range []string{"v=1; a=b", " a = b\r\n\tc ; d=;", "b=x; bb=b=y", ";;", "a=1;a=2", "1=2", "p=\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := parseTags(s)
		if err != nil {
			return
		}
		var again []string
		for _, one := range list {
			again = append(again, one.name+"="+one.value)
		}
		second, err := parseTags(strings.Join(again, ";"))
		if err != nil || !reflect.DeepEqual(list, second) {
			t.Errorf("%q: %v, then %v, %v", s, list, second, err)
		}
		without, err := parseTags(strings.TrimPrefix(string(withoutSignature([]byte("X:"+s))), "X:"))
		if err != nil {
			t.Fatalf("%q without its signature: %v", s, err)
		}
		for i, one := range list {
			if one.name == "b" {
				one.value = ""
			}
			if without[i] != one {
				t.Errorf("%q: taking b= out changes %v to %v", s, one, without[i])
			}
		}
	})
}

// FuzzMake: whatever leaves, signed by us, verifies, here and for go-msgauth.
func FuzzMake(f *testing.F) {
	keys := []Key{{"a.example", "ed", edKey()}}
	z := zoneOf(f, keys...)
	resolver := z.Resolver()
	for _, s := range []string{plainHeader + "\r\n" + plainBody, rfc8463, "", "\r\n", "From", "From:\r\n \r\n\t\r\n\r\n \t", "a\rb\n\x00", "Cc : \r\nCC:x\r\n\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		sent, err := io.ReadAll(newAsSent(strings.NewReader("Received: by us\r\n" + s)))
		if err != nil {
			t.Fatal(err)
		}
		message := string(sent)
		made, err := Make(strings.NewReader(message), keys, fields(), now, 0)
		if err == errLongHeader {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		sigs, err := Verify(t.Context(), strings.NewReader(string(made)+message), VerifyOptions{Resolver: resolver})
		if err != nil || sigs[0].Result != mail.AuthPass {
			t.Errorf("%q: %+v, %v", message, sigs, err)
		}
		secondOpinion(t, resolver.TXT, string(made)+message, sigs[:1])
	})
}
