package postconf

import (
	"strings"
	"testing"
)

// What -n prints must read back as the same parameters, with the same values but for
// white space. That holds for any file that can be read at all.
func FuzzMain(f *testing.F) {
	for _, seed := range []string{printMain, debianMain, "", "a", "a = $", "mail_name = ${a?{b}:{${c}}}\na=x\nc = $$",
		"mail_name = ${{$a} <level {3.6} ? {b} : {c}}\na = 1.2\n", "mail_name = $a$a\na=$b$b\nb=$mail_name\n", "\x00", "a = b\r\n\v c\n\f\n"} {
		f.Add(seed)
	}
	for _, e := range expansions {
		f.Add("a = A\nmail_name = " + e.in)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Read(optionsOf(text, ""))
		if err != nil {
			return
		}
		c.Warnings()
		if err := c.Check(); err == nil {
			for name := range c.set {
				c.List(name)
			}
		}
		first := printed(t, c)
		again, err := Read(optionsOf(first, ""))
		if err != nil {
			t.Fatalf("what was printed cannot be read: %v\n%q", err, first)
		}
		for name, s := range again.set {
			was := strings.Join(words(c.set[name].value), " ")
			if is := strings.Join(words(s.value), " "); is != was {
				t.Errorf("%s was %q and is %q", name, was, is)
			}
		}
		if second := printed(t, again); first != second {
			t.Errorf("printed %q, read back %q", first, second)
		}
	})
}

func printed(t *testing.T, c *Config) string {
	var out strings.Builder
	if _, err := c.Print(&out, nil, PrintOptions{Explicit: true}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// What -M prints must read back as the same services.
func FuzzMaster(f *testing.F) {
	for _, seed := range []string{printMaster, postfixMaster, "", "smtp inet n - n - - smtpd -o { a = { b } } -o c={d e} { }",
		"x unix - n n - - pipe -o a= {-o} {-} {}", "[::1]:25 inet n - n - - smtpd -oa=b\r\n", "smtp inet n - n - - smtpd -o {a={b}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Read(optionsOf("", text))
		if err != nil || c.noMaster {
			return
		}
		c.Warnings()
		c.Check()
		first := printedServices(t, c)
		again, err := Read(optionsOf("", first+"#"))
		if err != nil {
			t.Fatalf("what was printed cannot be read: %v\n%q", err, first)
		}
		if second := printedServices(t, again); first != second {
			t.Errorf("printed %q, read back %q", first, second)
		}
		if len(again.services) != len(c.services) {
			t.Fatalf("%d services became %d\n%q", len(c.services), len(again.services), first)
		}
		for i, s := range c.services {
			other := again.services[i]
			if s.Command != other.Command || len(s.Args) != len(other.Args) || len(s.Overrides) != len(other.Overrides) {
				t.Errorf("%+v became %+v", s, other)
			}
		}
	})
}

func printedServices(t *testing.T, c *Config) string {
	var out strings.Builder
	if _, err := c.PrintServices(&out, nil, PrintOptions{}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
