package main

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"aliasmx/internal/mail"
	"aliasmx/internal/reputation"
)

// saying is a draft that ends as it is told to, with results before, as the queue has them.
type saying struct {
	mail.Draft
	src     mail.Source
	attempt *mail.Attempt
	results []mail.Result
	out     mail.Relayed
	err     error
}

func (d *saying) Relay(context.Context, *mail.Envelope, mail.WhileConnected) (mail.Relayed, error) {
	d.src.Done(d.attempt, d.results, mail.FeedbackGood)
	return d.out, d.err
}

// committing is a draft that cannot be relayed.
type committing struct{ mail.Draft }

func (committing) Commit(context.Context, *mail.Envelope) error { return nil }

type deaf struct{ mail.Source }

func (deaf) Done(*mail.Attempt, []mail.Result, mail.Feedback) {}

// A message that is relayed while its client waits is counted once it is accepted, and what
// becomes of it once it is known, also when that is before. An attempt that was given up is
// made again, and counts then.
func TestCountedRelay(t *testing.T) {
	env := &mail.Envelope{ID: 1, Sender: mail.SplitAddress("s@client.example"), Rcpts: []mail.Recipient{
		{Orig: mail.SplitAddress("a@alias.example"), Final: mail.SplitAddress("x@dest.example")},
	}}
	result := func(s mail.State) []mail.Result {
		return []mail.Result{{State: s, Status: mail.Status{Code: 550, Enhanced: mail.Code(5, 1, 1)}}}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	for name, c := range map[string]struct {
		results                []mail.Result
		until                  context.Context
		out                    mail.Relayed
		err                    error
		plain                  bool
		in, delivered, refused uint32
	}{
		"sent":       {results: result(mail.Delivered), until: t.Context(), in: 1, delivered: 1},
		"refused":    {results: result(mail.Failed), out: mail.Relayed{Refused: &mail.Result{}}, refused: 1},
		"given up":   {results: result(mail.Failed), until: ended, in: 1},
		"known":      {out: mail.Relayed{Again: true}},
		"not kept":   {results: result(mail.Delivered), err: errors.New("no"), delivered: 1},
		"no relayer": {plain: true, in: 1},
	} {
		book := reputation.New(reputation.Options{Log: slog.New(slog.DiscardHandler), Params: reputation.Params{
			Enabled: true, StripExtension: func(s string) string { return s },
			Ours: func(_ context.Context, a mail.Address) (bool, error) { return a.Domain == "alias.example", nil },
		}})
		d := &countedDraft{&saying{
			src: notedSource{deaf{}, book}, attempt: &mail.Attempt{Env: env, Until: c.until},
			results: c.results, out: c.out, err: c.err,
		}, book}
		if c.plain {
			d.Draft = committing{}
		}
		out, err := d.Relay(t.Context(), env, mail.WhileConnected{})
		if err != c.err || out.Again != c.out.Again || out.Refused != c.out.Refused {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
		var got reputation.Row
		for _, row := range book.Table("a@alias.example") {
			got = row
		}
		if got.In != c.in || got.Delivered != c.delivered || got.Refused != c.refused {
			t.Errorf("%s: %+v", name, got)
		}
		book.Close()
	}
}
