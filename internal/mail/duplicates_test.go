package mail

import (
	"fmt"
	"testing"
)

func TestDuplicates(t *testing.T) {
	rcpt := func(final, orig, orcpt string, notify Notify) Recipient {
		return Recipient{Final: SplitAddress(final), Orig: SplitAddress(orig), ORcpt: orcpt, Notify: notify}
	}
	first := rcpt("one@dest.example", "a@virt.example", "rfc822;a@virt.example", NotifyFailure)
	for name, c := range map[string]struct {
		second             Recipient
		byOrig, byFinalToo bool // seen with enable_original_recipient = yes, no
	}{
		"the same":             {first, true, true},
		"other case":           {rcpt("ONE@Dest.example", "A@virt.example", "rfc822;a@VIRT.example", NotifyFailure), true, true},
		"another target":       {rcpt("two@dest.example", "a@virt.example", "rfc822;a@virt.example", NotifyFailure), false, false},
		"by another alias":     {rcpt("one@dest.example", "b@virt.example", "rfc822;b@virt.example", NotifyFailure), false, true},
		"another ORCPT":        {rcpt("one@dest.example", "a@virt.example", "rfc822;x@virt.example", NotifyFailure), false, true},
		"another NOTIFY":       {rcpt("one@dest.example", "a@virt.example", "rfc822;a@virt.example", 0), false, true},
		"another transport":    {Recipient{Final: first.Final, Orig: first.Orig, ORcpt: first.ORcpt, Notify: first.Notify, Dest: "smtp:x"}, true, true},
		"parts are kept apart": {rcpt("one@dest.example", "a@virt.example", "rfc822;a@virt.example\n", NotifyFailure), false, true},
	} {
		t.Run(name, func(t *testing.T) {
			for byOriginal, want := range map[bool]bool{true: c.byOrig, false: c.byFinalToo} {
				d := NewDuplicates(0, byOriginal)
				if d.Seen(&first) {
					t.Fatal("the first was seen before")
				}
				if got := d.Seen(&c.second); got != want {
					t.Errorf("enable_original_recipient = %v: seen %v, want %v", byOriginal, got, want)
				}
			}
		})
	}
}

// Case makes no difference beyond ASCII either, and asking again costs no memory.
func TestDuplicatesUTF8(t *testing.T) {
	d := NewDuplicates(0, true)
	upper, lower := Recipient{Final: SplitAddress("JÖ@GRÜN.example")}, Recipient{Final: SplitAddress("jö@grün.EXAMPLE")}
	if d.Seen(&upper) || !d.Seen(&lower) {
		t.Error("JÖ and jö are two")
	}
	plain := Recipient{Final: SplitAddress("one@dest.example")}
	d.Seen(&plain)
	if n := testing.AllocsPerRun(100, func() { d.Seen(&plain) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestDuplicatesLimit(t *testing.T) {
	d := NewDuplicates(2, true)
	var got []bool
	for _, n := range []int{1, 2, 3, 1, 3, 2} {
		got = append(got, d.Seen(&Recipient{Final: Address{Local: fmt.Sprint(n), Domain: "d.example"}}))
	}
	if want := "[false false false true false true]"; fmt.Sprint(got) != want {
		t.Errorf("seen %v, want %v", got, want)
	}
}

func TestOrigTo(t *testing.T) {
	a, b := Address{Local: "odd user", Domain: "virt.example"}, Address{Local: "one", Domain: "dest.example"}
	for _, c := range []struct {
		r    Recipient
		want string
	}{
		{Recipient{Final: b, Orig: a}, `"odd user"@virt.example`},
		{Recipient{Final: b, Orig: b}, ""},
		{Recipient{Final: b, Orig: Address{Local: "one", Domain: "DEST.example"}}, "one@DEST.example"},
	} {
		if got := c.r.OrigTo(); got != c.want {
			t.Errorf("OrigTo of %v, %v: %q, want %q", c.r.Final, c.r.Orig, got, c.want)
		}
	}
}

// An address whose domain is empty is not a bare name.
func TestEmptyDomainIsShown(t *testing.T) {
	for local, want := range map[string]string{"user@": "user@", "user": "user", "odd user@": `"odd user@"`, "@": `"@"`} {
		if got := (Address{Local: local}).String(); got != want {
			t.Errorf("%q is shown as %s, want %s", local, got, want)
		}
	}
}
