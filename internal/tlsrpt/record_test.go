package tlsrpt

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func mailto(a string) Endpoint { return Endpoint{Mailto: a} }
func https(u string) Endpoint  { return Endpoint{HTTPS: u} }

func TestParseRecord(t *testing.T) {
	const noRecord = "no TLSRPT record"
	for _, c := range []struct {
		name string
		txts []string
		want []Endpoint
		skip []string // Unknown
		err  string   // part of the error's text
	}{
		{"RFC 8460 section 3.1, mail", []string{"v=TLSRPTv1;rua=mailto:reports@example.com"}, []Endpoint{mailto("reports@example.com")}, nil, ""},
		{"RFC 8460 section 3.1, HTTPS", []string{"v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt"},
			[]Endpoint{https("https://reporting.example.com/v1/tlsrpt")}, nil, ""},
		{"several, with spaces", []string{"v=TLSRPTv1 ; rua=mailto:a@x.example , https://x.example/r ,\tmailto:b@x.example ; "},
			[]Endpoint{mailto("a@x.example"), https("https://x.example/r"), mailto("b@x.example")}, nil, ""},
		{"schemes in any case", []string{"v=TLSRPTv1;rua=MailTo:a@x.example,HTTPS://x.example/"}, []Endpoint{mailto("a@x.example"), https("https://x.example/")}, nil, ""},
		{"encoded characters", []string{"v=TLSRPTv1;rua=mailto:a%21b%25c@x.example,https://x.example/r%2Cs"},
			[]Endpoint{mailto("a!b%c@x.example"), https("https://x.example/r%2Cs")}, nil, ""},
		{"query of a mailto", []string{"v=TLSRPTv1;rua=mailto:a@x.example?subject=tls"}, []Endpoint{mailto("a@x.example")}, nil, ""},
		{"the same twice", []string{"v=TLSRPTv1;rua=mailto:a@x.example,mailto:a@x.example"}, []Endpoint{mailto("a@x.example")}, nil, ""},
		{"unknown extensions", []string{"v=TLSRPTv1;ext=1;rua=mailto:a@x.example;x-y.z_9=foo"}, []Endpoint{mailto("a@x.example")}, nil, ""},
		{"unknown schemes beside a known one", []string{"v=TLSRPTv1;rua=http://x.example/,mailto:a@x.example,ftp:x"},
			[]Endpoint{mailto("a@x.example")}, []string{"http://x.example/", "ftp:x"}, ""},
		{"records of others", []string{"v=spf1 -all", "v=TLSRPTv1;rua=mailto:a@x.example", "v=TLSRPTv10;rua=mailto:b@x.example"},
			[]Endpoint{mailto("a@x.example")}, nil, ""},
		{"none", nil, nil, nil, noRecord},
		{"others only", []string{"v=spf1 -all"}, nil, nil, noRecord},
		{"version only", []string{"v=TLSRPTv1"}, nil, nil, noRecord},
		{"space in front", []string{" v=TLSRPTv1;rua=mailto:a@x.example"}, nil, nil, noRecord},
		{"version in the wrong case", []string{"v=tlsrptv1;rua=mailto:a@x.example"}, nil, nil, noRecord},
		{"two", []string{"v=TLSRPTv1;rua=mailto:a@x.example", "v=TLSRPTv1;rua=mailto:b@x.example"}, nil, nil, noRecord},
		{"two, one of them broken", []string{"v=TLSRPTv1;rua=mailto:a@x.example", "v=TLSRPTv1;"}, nil, nil, noRecord},
		{"no rua", []string{"v=TLSRPTv1;"}, nil, nil, "no rua field"},
		{"empty rua", []string{"v=TLSRPTv1;rua="}, nil, []string{""}, "neither a mailto: nor an https:"},
		{"rua twice", []string{"v=TLSRPTv1;rua=mailto:a@x.example;rua=mailto:b@x.example"}, nil, nil, "twice"},
		{"rua in capitals is an extension", []string{"v=TLSRPTv1;RUA=mailto:a@x.example"}, nil, nil, "no rua field"},
		{"no field", []string{"v=TLSRPTv1;rua=mailto:a@x.example;nonsense"}, nil, nil, "is no field"},
		{"long name of an extension", []string{"v=TLSRPTv1;rua=mailto:a@x.example;" + strings.Repeat("a", 33) + "=1"}, nil, nil, "is no field"},
		{"long", []string{"v=TLSRPTv1;rua=mailto:a@x.example;a=" + strings.Repeat("a", maxRecord)}, nil, nil, "more than"},
		{"mailto that is none", []string{"v=TLSRPTv1;rua=mailto:a,mailto:@x.example,mailto:a@,mailto:a@x.example%0D%0ABcc:b@x.example"}, nil, nil, "neither"},
		{"mailto that would need quotes", []string{"v=TLSRPTv1;rua=mailto:a%40b@x.example,mailto:%22a%22@x.example,mailto:.a@x.example,mailto:a@x..example,mailto:a@%C3%A4.example"}, nil, nil, "neither"},
		{"two addresses in one mailto", []string{"v=TLSRPTv1;rua=mailto:a@x.example%2Cb@x.example"}, nil, nil, "neither"},
		{"https without a host", []string{"v=TLSRPTv1;rua=https:///r,https://:443/,https:r"}, nil, nil, "neither"},
		{"https with a password", []string{"v=TLSRPTv1;rua=https://u:p@x.example/"}, nil, nil, "neither"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseRecord(c.txts)
			switch {
			case c.err != "":
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("ParseRecord(%q) = %v, %v, want an error with %q", c.txts, got, err, c.err)
				}
				if errors.Is(err, ErrNoRecord) != (c.err == noRecord) {
					t.Errorf("ParseRecord(%q): %v: is ErrNoRecord: %v", c.txts, err, errors.Is(err, ErrNoRecord))
				}
			case err != nil || !reflect.DeepEqual(got, Record{c.want, c.skip}):
				t.Errorf("ParseRecord(%q)\n got %v, %v\nwant %v", c.txts, got, err, Record{c.want, c.skip})
			}
		})
	}
}

func TestParseRecordTakesOnlySoMany(t *testing.T) {
	list := strings.Repeat("mailto:a@x.example,", 3)
	for _, c := range "bcdefghijklmn" {
		list += "mailto:" + string(c) + "@x.example,"
	}
	r, err := ParseRecord([]string{"v=TLSRPTv1;rua=" + strings.TrimSuffix(list, ",")})
	if err != nil || len(r.Endpoints) != maxEndpoints {
		t.Errorf("%d endpoints, %v, want %d", len(r.Endpoints), err, maxEndpoints)
	}
}

// FuzzParseRecord: what is taken of a record makes a record again that says the same, and
// nothing of it can break out of a header field or ask for anything but HTTPS.
func FuzzParseRecord(f *testing.F) {
	for _, s := range []string{
		"v=TLSRPTv1;rua=mailto:reports@example.com",
		"v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt?a=b#c , mailto:a%21@x.example;ext=1;",
		"v=TLSRPTv1;rua=mailto:a@x.example\r\nBcc: b",
		"v=TLSRPTv1;rua=https://[::1]:99/%00",
		"v=spf1 -all",
	} {
		f.Add(s)
	}
	escape := strings.NewReplacer("%", "%25", "!", "%21", "?", "%3F", "#", "%23", "/", "%2F")
	f.Fuzz(func(t *testing.T, txt string) {
		r, err := ParseRecord([]string{txt})
		if err != nil {
			if len(r.Endpoints) != 0 {
				t.Errorf("%q: %v, and yet %v", txt, err, r.Endpoints)
			}
			return
		}
		var uris []string
		for _, e := range r.Endpoints {
			if strings.ContainsAny(e.Mailto+e.HTTPS, "\r\n\x00 ,;<>") {
				t.Errorf("%q gives %q", txt, e)
			}
			if e.HTTPS == "" {
				uris = append(uris, "mailto:"+escape.Replace(e.Mailto))
				continue
			}
			if !strings.HasPrefix(e.HTTPS, "https://") || e.Mailto != "" {
				t.Errorf("%q gives %q", txt, e)
			}
			uris = append(uris, e.HTTPS)
		}
		again, err := ParseRecord([]string{"v=TLSRPTv1;rua=" + strings.Join(uris, ",")})
		if err != nil || !reflect.DeepEqual(again.Endpoints, r.Endpoints) {
			t.Errorf("%q gives %v; written again and read: %v, %v", txt, r.Endpoints, again.Endpoints, err)
		}
	})
}
