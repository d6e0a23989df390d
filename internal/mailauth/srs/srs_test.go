package srs

import (
	"errors"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

var newYear = time.Date(2020, 1, 1, 0, 1, 0, 0, time.UTC)

func newCodec(t testing.TB, change func(*Options)) *Codec {
	t.Helper()
	o := Options{Domain: "srs.example", Secrets: []string{"tops3cr3t"}, Now: func() time.Time { return newYear }}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func at(days int) func(*Options) {
	return func(o *Options) { o.Now = func() time.Time { return newYear.AddDate(0, 0, days) } }
}

func TestForward(t *testing.T) {
	long := strings.Repeat("v", 60)
	wide := strings.Repeat("d.", 85) + "example"
	for _, c := range []struct {
		name   string
		change func(*Options)
		in     mail.Address
		want   string
		err    error
	}{
		{name: "plain", in: mail.Address{Local: "test", Domain: "otherdomain.com"}, want: "SRS0=vmyz=2W=otherdomain.com=test@srs.example"},
		{name: "case is kept", in: mail.Address{Local: "Test", Domain: "OtherDomain.com"}, want: "SRS0=vmyz=2W=OtherDomain.com=Test@srs.example"},
		{name: "null", in: mail.Address{}, want: ""},
		{name: "own domain", in: mail.Address{Local: "SRS0=x", Domain: "SRS.example"}, want: "SRS0=x@SRS.example"},
		{name: "bare name", in: mail.Address{Local: "root"}, err: ErrNoDomain},
		{name: "database domain", in: mail.Address{Local: "root", Domain: "1"}, err: ErrNoDomain},
		{name: "equals sign in the domain", in: mail.Address{Local: "a", Domain: "b=c.example"}, err: ErrNoDomain},
		{name: "separator", change: func(o *Options) { o.Separator = '+' },
			in: mail.Address{Local: "test", Domain: "otherdomain.com"}, want: "SRS0+vmyz=2W=otherdomain.com=test@srs.example"},
		{name: "longer hash", change: func(o *Options) { o.HashLength = 8 },
			in: mail.Address{Local: "test", Domain: "otherdomain.com"}, want: "SRS0=vmyz7Bwa=2W=otherdomain.com=test@srs.example"},
		{name: "alphabet for URLs", in: mail.Address{Local: "hash234", Domain: "somedomain.com"}, want: "SRS0=-3_5=2W=somedomain.com=hash234@srs.example"},
		{name: "first secret signs", change: func(o *Options) { o.Secrets = []string{"tops3cr3t", "another"} },
			in: mail.Address{Local: "test", Domain: "otherdomain.com"}, want: "SRS0=vmyz=2W=otherdomain.com=test@srs.example"},
		{name: "SRS0 of others", in: mail.Address{Local: "SRS0=opaque+string", Domain: "otherdomain.com"}, want: "SRS1=chaI=otherdomain.com==opaque+string@srs.example"},
		{name: "SRS1 of others", in: mail.Address{Local: "SRS1=X=thirddomain.com==opaque+string", Domain: "otherdomain.com"}, want: "SRS1=JIBX=thirddomain.com==opaque+string@srs.example"},
		{name: "SRS1 in name only", in: mail.Address{Local: "srs1-fan", Domain: "otherdomain.com"}, want: "SRS0=Kddh=2W=otherdomain.com=srs1-fan@srs.example"},
		{name: "quotes", in: mail.Address{Local: "a b", Domain: "x.example"}, want: `"SRS0=BadI=2W=x.example=a b"@srs.example`},
		{name: "UTF-8", in: mail.Address{Local: "grün", Domain: "grün.example"}, want: "SRS0=Gq5D=2W=grün.example=grün@srs.example"},
		{name: "longer than 64 octets", in: mail.Address{Local: long, Domain: "x.example"}, want: "SRS0=XHze=2W=x.example=" + long + "@srs.example"},
		{name: "254 octets and brackets", in: mail.Address{Local: strings.Repeat("l", 254-len("SRS0=HHHH=TT=@srs.example=")-len(wide)), Domain: wide},
			want: "SRS0=AAAA=2W=" + wide + "=" + strings.Repeat("l", 254-len("SRS0=HHHH=TT=@srs.example=")-len(wide)) + "@srs.example"},
		{name: "one octet more", in: mail.Address{Local: strings.Repeat("l", 255-len("SRS0=HHHH=TT=@srs.example=")-len(wide)), Domain: wide}, err: ErrTooLong},
		{name: "quotes count", in: mail.Address{Local: "a b" + strings.Repeat("l", 250-len("SRS0=HHHH=TT=@srs.example=")-len(wide)), Domain: wide}, err: ErrTooLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := newCodec(t, c.change).Forward(c.in)
			if !errors.Is(err, c.err) || got.String() != c.want && c.name != "254 octets and brackets" {
				t.Errorf("Forward(%v): got %q, %v; want %q, %v", c.in, got, err, c.want, c.err)
			}
			if err == nil && len(got.String()) != len(c.want) {
				t.Errorf("%d octets, want %d", len(got.String()), len(c.want))
			}
		})
	}
}

func TestReverse(t *testing.T) {
	const good = "SRS0=vmyz=2W=otherdomain.com=test"
	for _, c := range []struct {
		name   string
		change func(*Options)
		local  string
		domain string
		want   string
		err    error
	}{
		{name: "good", local: good, want: "test@otherdomain.com"},
		{name: "plus", local: "SRS0+vmyz=2W=otherdomain.com=test", want: "test@otherdomain.com"},
		{name: "minus", local: "SRS0-vmyz=2W=otherdomain.com=test", want: "test@otherdomain.com"},
		{name: "lower case", local: strings.ToLower(good), want: "test@otherdomain.com"},
		{name: "upper case", local: strings.ToUpper(good), want: "TEST@OTHERDOMAIN.COM"},
		{name: "domain in upper case", local: good, domain: "SRS.EXAMPLE", want: "test@otherdomain.com"},
		{name: "domain of others", local: good, domain: "other.example", err: ErrNotSRS},
		{name: "alphabet for URLs", local: "SRS0=-3_5=2W=somedomain.com=hash234", want: "hash234@somedomain.com"},
		{name: "standard alphabet", local: "SRS0=+3/5=2W=somedomain.com=hash234", want: "hash234@somedomain.com"},
		{name: "longer hash", local: "SRS0=vmyz7Bwa=2W=otherdomain.com=test", want: "test@otherdomain.com"},
		{name: "longer hash, wrong at its end", local: "SRS0=vmyz7Bwb=2W=otherdomain.com=test", err: ErrForged},
		{name: "shorter hash", local: "SRS0=vmy=2W=otherdomain.com=test", err: ErrForged},
		{name: "minimum", change: func(o *Options) { o.HashLength, o.HashMinimum = 8, 8 }, local: good, err: ErrForged},
		{name: "hash longer than there are", local: "SRS0=" + strings.Repeat("v", 28) + "=2W=otherdomain.com=test", err: ErrForged},
		{name: "second secret", change: func(o *Options) { o.Secrets = []string{"another", "tops3cr3t"} }, local: good, want: "test@otherdomain.com"},
		{name: "first of two", change: func(o *Options) { o.Secrets = []string{"tops3cr3t", "another"} }, local: good, want: "test@otherdomain.com"},
		{name: "secret gone", change: func(o *Options) { o.Secrets = []string{"another"} }, local: good, err: ErrForged},
		{name: "another local part", local: "SRS0=vmyz=2W=otherdomain.com=tess", err: ErrForged},
		{name: "another domain", local: "SRS0=vmyz=2W=otherdomain.org=test", err: ErrForged},
		{name: "another day", local: "SRS0=vmyz=2X=otherdomain.com=test", err: ErrForged},
		{name: "last day", change: at(21), local: good, want: "test@otherdomain.com"},
		{name: "day after", change: at(22), local: good, err: ErrExpired},
		{name: "tomorrow", change: at(-1), local: good, want: "test@otherdomain.com"},
		{name: "the day after tomorrow", change: at(-2), local: good, err: ErrExpired},
		{name: "when days come round", change: at(1024), local: good, want: "test@otherdomain.com"},
		{name: "longer age", change: func(o *Options) { at(30)(o); o.MaxAge = 30 * 24 * time.Hour }, local: good, want: "test@otherdomain.com"},
		{name: "no SRS address", local: "test", err: ErrNotSRS},
		{name: "tag alone", local: "SRS0", err: ErrNotSRS},
		{name: "no separator", local: "SRS0vmyz=2W=otherdomain.com=test", err: ErrNotSRS},
		{name: "no hash", local: "SRS0=", err: ErrMalformed},
		{name: "no time stamp", local: "SRS0=vmyz", err: ErrMalformed},
		{name: "no domain", local: "SRS0=vmyz=2W", err: ErrMalformed},
		{name: "no local part", local: "SRS0=vmyz=2W=otherdomain.com", err: ErrMalformed},
		{name: "long time stamp", local: "SRS0=vmyz=2WA=otherdomain.com=test", err: ErrMalformed},
		{name: "digits that are none", local: "SRS0=vmyz=18=otherdomain.com=test", err: ErrMalformed},
		{name: "database form", local: "SRS0=bxzH=2W=1=DCJGDE6N24LCRT41A4T0G1UIF0DTKKQJ", err: ErrMalformed},
		{name: "SRS1", local: "SRS1=JIBX=thirddomain.com==opaque+string", want: "SRS0=opaque+string@thirddomain.com"},
		{name: "SRS1 forged", local: "SRS1=JIBX=thirddomain.com==opaque+strinG1", err: ErrForged},
		{name: "SRS1, another hop", local: "SRS1=JIBX=fourth.com==opaque+string", err: ErrForged},
		{name: "SRS1 without what the hop wrote", local: "SRS1=JIBX=thirddomain.com", err: ErrMalformed},
		{name: "SRS1 without a separator there", local: "SRS1=JIBX=thirddomain.com=opaque", err: ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.domain == "" {
				c.domain = "srs.example"
			}
			got, err := newCodec(t, c.change).Reverse(mail.Address{Local: c.local, Domain: c.domain})
			if !errors.Is(err, c.err) || got.String() != c.want {
				t.Errorf("Reverse(%q): got %q, %v; want %q, %v", c.local, got, err, c.want, c.err)
			}
		})
	}
}

// Both forms of an internationalized domain are one, and the A-label is written: mail with it
// needs no SMTPUTF8.
func TestLabels(t *testing.T) {
	c := newCodec(t, func(o *Options) { o.Domain = "grün.example" })
	out, err := c.Forward(mail.Address{Local: "test", Domain: "otherdomain.com"})
	if err != nil || out.Domain != "xn--grn-ioa.example" {
		t.Errorf("got %v, %v; want the domain xn--grn-ioa.example", out, err)
	}
	for _, domain := range []string{"grün.example", "GRÜN.example", "XN--GRN-IOA.example"} {
		if a, err := c.Reverse(mail.Address{Local: out.Local, Domain: domain}); err != nil || a.Internal() != "test@otherdomain.com" {
			t.Errorf("at %s: got %v, %v", domain, a, err)
		}
	}
}

func TestOptions(t *testing.T) {
	good := Options{Domain: "srs.example", Secrets: []string{"s"}}
	for name, change := range map[string]func(*Options){
		"no domain":             func(o *Options) { o.Domain = "" },
		"domain that is none":   func(o *Options) { o.Domain = "srs example" },
		"no secret":             func(o *Options) { o.Secrets = nil },
		"empty secret":          func(o *Options) { o.Secrets = []string{"s", ""} },
		"separator":             func(o *Options) { o.Separator = '#' },
		"hash of 28":            func(o *Options) { o.HashLength = 28 },
		"minimum above length":  func(o *Options) { o.HashMinimum = 5 },
		"age of the whole ring": func(o *Options) { o.MaxAge = 1022 * 24 * time.Hour },
	} {
		o := good
		change(&o)
		if c, err := New(o); err == nil {
			t.Errorf("%s: got %v, want an error", name, c)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}

func TestSecrets(t *testing.T) {
	got, err := Secrets([]byte("# new\r\nfirst one \r\n\n  \nsecond"))
	if err != nil || len(got) != 2 || got[0] != "first one " || got[1] != "second" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := Secrets([]byte("\n# none\n")); err == nil {
		t.Error("a file without a secret is no error")
	}
}
