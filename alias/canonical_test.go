package alias

import (
	"context"
	"testing"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

var everywhere = placeNames[:]

// canonicals is a resolver whose canonical_maps hold lines, everywhere.
func canonicals(lines ...string) func(*Options) {
	return func(o *Options) {
		o.CanonicalMaps = table.Maps{fake("fake:canonical", lines...)}
		o.CanonicalClasses = everywhere
	}
}

func TestCanonical(t *testing.T) {
	for name, c := range map[string]struct {
		lines    []string
		in, want string
	}{
		"not there":                  {[]string{"a@b.example x@y.example"}, "c@b.example", "c@b.example"},
		"whole address":              {[]string{"a@b.example x@y.example"}, "A@B.example", "x@y.example"},
		"chain":                      {[]string{"a@b.example b@b.example", "b@b.example c@b.example"}, "a@b.example", "c@b.example"},
		"to itself, other case":      {[]string{"a@b.example A@B.example"}, "a@b.example", "A@B.example"},
		"domain to domain":           {[]string{"@b.example @y.example"}, "a+x@b.example", "a+x@y.example"},
		"domain to domain, itself":   {[]string{"@b.example @b.example"}, "a@b.example", "a@b.example"},
		"catch-all":                  {[]string{"@b.example x@y.example"}, "a@b.example", "x@y.example"},
		"extension goes along":       {[]string{"a@b.example x@y.example"}, "a+e@b.example", "x+e@y.example"},
		"bare name, local":           {[]string{"ann Ann.Smith@y.example"}, "ann@mx.example.com", "Ann.Smith@y.example"},
		"bare name, not local":       {[]string{"ann Ann.Smith@y.example"}, "ann@b.example", "ann@b.example"},
		"bare result":                {[]string{"a@b.example root"}, "a@b.example", "root@mx.example.com"},
		"first of several":           {[]string{"a@b.example x@y.example, z@y.example"}, "a@b.example", "x@y.example"},
		"to nobody":                  {[]string{"a@b.example <>"}, "a@b.example", ""},
		"quoted":                     {[]string{`"a,b"@b.example "more odd"@y.example`}, "a,b@b.example", "more odd@y.example"},
		"no end: some address of it": {[]string{"a@b.example b@b.example", "b@b.example a@b.example"}, "a@b.example", "a@b.example"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTestResolver(t, nil, func(o *Options) {
				o.RecipientDelimiter = "+"
				canonicals(c.lines...)(o)
			})
			for _, sender := range []bool{false, true} {
				got, err := r.HeaderAddress(context.Background(), splitInternal(c.in), sender, "")
				if err != nil || got != splitInternal(c.want) {
					t.Errorf("sender %v: got %v, %v; want %s", sender, got, err, c.want)
				}
			}
		})
	}
}

// The tables for one side go first, each where its classes say.
func TestCanonicalPlaces(t *testing.T) {
	r := newTestResolver(t, []string{"z@virt.example end@dest.example"}, func(o *Options) {
		o.SenderCanonicalMaps = table.Maps{fake("fake:s", "a@virt.example s@virt.example")}
		o.SenderCanonicalClasses = []string{"envelope_sender", "header_sender"}
		o.RecipientCanonicalMaps = table.Maps{fake("fake:r", "a@virt.example r@virt.example")}
		o.RecipientCanonicalClasses = []string{"envelope_recipient", "header_recipient"}
		o.CanonicalMaps = table.Maps{fake("fake:c", "r@virt.example z@virt.example", "s@virt.example t@virt.example", "end@dest.example never@dest.example")}
		o.CanonicalClasses = []string{"envelope_sender", "envelope_recipient", "header_sender"}
	})
	ctx, a := context.Background(), splitInternal("a@virt.example")
	rev, err := r.Sender(ctx, a)
	if err != nil || rev.Path.String() != "t@virt.example" {
		t.Errorf("envelope sender: %v, %v", rev.Path, err)
	}
	if h, err := r.HeaderAddress(ctx, a, true, ""); err != nil || h.String() != "t@virt.example" {
		t.Errorf("header sender: %v, %v", h, err)
	}
	if h, err := r.HeaderAddress(ctx, a, false, ""); err != nil || h.String() != "r@virt.example" {
		t.Errorf("header recipient: %v, %v", h, err)
	}
	// What aliases lead to is not looked at again.
	rcpts, err := r.Expand(ctx, mail.RcptRequest{Addr: a})
	if err != nil || len(rcpts) != 1 || rcpts[0].Final.String() != "end@dest.example" || rcpts[0].Orig != a {
		t.Errorf("envelope recipient: %v, %v", rcpts, err)
	}
}

// A class that is not one is a fault of the configuration.
func TestUnknownPlace(t *testing.T) {
	if _, err := New(Options{MyHostname: "mx.example.com", CanonicalClasses: []string{"body"}}); err == nil {
		t.Error("canonical_classes = body is taken")
	}
}

// A table that fails is a reason to try again later, wherever it is asked.
func TestCanonicalTableFails(t *testing.T) {
	broken := fake("fake:canonical")
	broken.broken["*"] = true
	r := newTestResolver(t, []string{"a@virt.example b@dest.example"}, func(o *Options) {
		o.CanonicalMaps, o.CanonicalClasses = table.Maps{broken}, everywhere
		o.GenericMaps, o.LMTPGenericMaps = table.Maps{broken}, table.Maps{broken}
	})
	ctx, a := context.Background(), splitInternal("a@virt.example")
	_, sender := r.Sender(ctx, a)
	_, rcpt := r.Expand(ctx, mail.RcptRequest{Addr: a})
	_, header := r.HeaderAddress(ctx, a, true, "")
	_, generic := r.Generic(ctx, a)
	_, lmtp := r.LMTPGeneric(ctx, a)
	for where, err := range map[string]error{"sender": sender, "recipient": rcpt, "header": header, "generic": generic, "lmtp": lmtp} {
		if st := mail.StatusOf(err); st == nil || !st.Temporary() || st.Enhanced != mail.Code(4, 3, 0) {
			t.Errorf("%s: %v", where, err)
		}
	}
}

func TestMasquerade(t *testing.T) {
	for name, c := range map[string]struct {
		domains  []string
		in, want string
	}{
		"a host":             {[]string{"b.example"}, "a@host.b.example", "a@b.example"},
		"the domain itself":  {[]string{"b.example"}, "a@b.example", "a@b.example"},
		"not below":          {[]string{"b.example"}, "a@hostb.example", "a@hostb.example"},
		"case":               {[]string{"B.Example"}, "A@Host.B.EXAMPLE", "A@b.example"},
		"first one wins":     {[]string{"x.b.example", "b.example"}, "a@h.x.b.example", "a@x.b.example"},
		"spared":             {[]string{"!x.b.example", "b.example"}, "a@h.x.b.example", "a@h.x.b.example"},
		"spared, others not": {[]string{"!x.b.example", "b.example"}, "a@h.b.example", "a@b.example"},
		"not not":            {[]string{"!!b.example"}, "a@h.b.example", "a@b.example"},
		"excepted name":      {[]string{"b.example"}, "root@h.b.example", "root@h.b.example"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTestResolver(t, nil, func(o *Options) {
				o.MasqueradeDomains = c.domains
				o.MasqueradeClasses = []string{"envelope_sender", "header_sender", "header_recipient"}
				o.MasqueradeExceptions = domains(t, "root")
			})
			rev, err := r.Sender(context.Background(), splitInternal(c.in))
			if err != nil || rev.Path.String() != c.want {
				t.Errorf("got %v, %v; want %s", rev.Path, err, c.want)
			}
			rcpts, err := r.Expand(context.Background(), mail.RcptRequest{Addr: splitInternal(c.in)})
			if err != nil || rcpts[0].Final.String() != c.in {
				t.Errorf("envelope recipient: got %v, %v; want it as it was", rcpts, err)
			}
		})
	}
}

func TestHeaderAddressOfStrangers(t *testing.T) {
	r := newTestResolver(t, nil, func(o *Options) { o.AppendDotMyDomain = true })
	for in, want := range map[string]string{
		"bob":            "bob@stranger.invalid",
		"bob@host":       "bob@host.stranger.invalid",
		"bob@other.test": "bob@other.test",
	} {
		got, err := r.HeaderAddress(context.Background(), splitInternal(in), true, "stranger.invalid")
		if err != nil || got.String() != want {
			t.Errorf("%s: got %v, %v; want %s", in, got, err, want)
		}
	}
	if got := r.Complete(splitInternal("bob")); got.String() != "bob@mx.example.com" {
		t.Errorf("our own addresses changed: %v", got)
	}
}

// generic(5): once, and an extension goes along only when that is asked for.
func TestGeneric(t *testing.T) {
	lines := []string{"a@b.example x@y.example", "x@y.example never@y.example", "@c.example @d.example"}
	for name, c := range map[string]struct {
		propagate []string
		in, want  string
	}{
		"once":               {nil, "a@b.example", "x@y.example"},
		"not there":          {nil, "z@b.example", "z@b.example"},
		"domain":             {nil, "z@c.example", "z@d.example"},
		"extension dropped":  {[]string{"canonical"}, "a+e@b.example", "x@y.example"},
		"extension kept":     {[]string{"generic"}, "a+e@b.example", "x+e@y.example"},
		"nobody stays that":  {nil, "", ""},
		"bare name, of ours": {nil, "z@mx.example.com", "z@mx.example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTestResolver(t, nil, func(o *Options) {
				o.RecipientDelimiter, o.PropagateUnmatchedExtensions = "+", c.propagate
				o.GenericMaps = table.Maps{fake("fake:generic", lines...)}
			})
			got, err := r.Generic(context.Background(), splitInternal(c.in))
			if err != nil || got != splitInternal(c.want) {
				t.Errorf("got %v, %v; want %s", got, err, c.want)
			}
		})
	}
}
