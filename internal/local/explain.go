package local

import (
	"context"
	"fmt"
	"slices"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

// Explanation is where a local name leads, found out without delivering anything.
type Explanation struct {
	Steps   []string // what was looked up, and what was found
	Targets []mail.Target
}

// Explain tells what would become of mail from sender for a local address.
func Explain(ctx context.Context, o Options, sender, rcpt mail.Address) (Explanation, error) {
	var x Explanation
	s, err := newSettings(o)
	if err != nil {
		return x, err
	}
	x.Targets = s.rehearse(ctx, sender, rcpt, func(step string) { x.Steps = append(x.Steps, step) })
	return x, nil
}

// rehearse goes through a delivery and does nothing.
func (s *settings) rehearse(ctx context.Context, sender, rcpt mail.Address, tell func(string)) []mail.Target {
	a := &mail.Attempt{Env: &mail.Envelope{Sender: sender, Rcpts: []mail.Recipient{{Final: rcpt, Orig: rcpt}}}, Rcpts: []int{0}}
	d := newDelivery(s, ctx, a, 0)
	d.dry, d.tell = true, tell
	d.recipient(d.first())
	return d.targets
}

// Finding is something wrong with an alias.
type Finding struct {
	Table string
	Where string // "FILE, line N", or the table
	Name  string
	Text  string
}

// Prove goes through every alias of the tables that can be listed, and tells what mail to
// it would run into: names that do not exist, loops, files that are missing or not
// allowed, commands that are not there. It ends early when yield returns false.
func Prove(ctx context.Context, o Options, yield func(Finding) bool) error {
	s, err := newSettings(o)
	if err != nil {
		return err
	}
	for _, t := range o.Aliases {
		l, ok := t.(table.Lister)
		if !ok {
			continue
		}
		var names []string
		if err := l.Each(func(name, _ string) bool {
			names = append(names, name)
			return ctx.Err() == nil
		}); err != nil {
			return fmt.Errorf("%s: %w", t.Name(), err)
		}
		slices.Sort(names)
		for _, name := range names {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			for _, text := range s.prove(ctx, name) {
				if !yield(Finding{Table: t.Name(), Where: where(t, name), Name: name, Text: text}) {
					return nil
				}
			}
		}
	}
	return nil
}

// prove is what is wrong with one alias.
func (s *settings) prove(ctx context.Context, name string) (list []string) {
	if name == "@" || name == "YP_LAST_MODIFIED" || name == "YP_MASTER_NAME" {
		return nil // signatures that Postfix writes for others
	}
	rcpt := s.Router.Complete(mail.Address{Local: name})
	for _, t := range s.rehearse(ctx, mail.Address{}, rcpt, func(step string) {
		if text, ok := cutWarning(step); ok {
			list = append(list, text)
		}
	}) {
		if t.State == mail.Delivered || t.Reason == "mail system configuration error" || t.Reason == "alias database unavailable" {
			continue // or told above
		}
		text := t.Reason
		if slices.Contains(list, text) {
			continue
		}
		if t.To != rcpt {
			text = t.To.String() + ": " + text
		}
		list = append(list, text)
	}
	return list
}

func cutWarning(step string) (string, bool) {
	const mark = "warning: "
	if len(step) > len(mark) && step[:len(mark)] == mark {
		return step[len(mark):], true
	}
	return "", false
}
