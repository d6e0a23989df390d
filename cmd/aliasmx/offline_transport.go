package main

import (
	"context"

	"aliasmx/internal/mail"
)

// noTransport stands where deliveries would be made; a queue whose Run is not called
// never asks for one. Should it be asked, the mail waits.
type noTransport struct{}

func (noTransport) Work(ctx context.Context, _ mail.Dest, src mail.Source) {
	for {
		a, ok := src.Next(ctx, 0)
		if !ok {
			return
		}
		src.Done(a, nil, mail.FeedbackBad)
	}
}
