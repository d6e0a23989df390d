package mailauth

import (
	"context"

	"aliasmx/internal/mail"
)

// bigBody is the size from which reading a message through its hashes is work that is worth
// waiting for one's turn: some milliseconds.
const bigBody = 1 << 20

// Gate bounds how many large messages are read at a time, over all sessions: more at once
// than there are processors would only take the time of everybody else.
type Gate struct{ slots chan struct{} }

// NewGate makes a Gate for n messages at a time, at least one.
func NewGate(n int) *Gate { return &Gate{make(chan struct{}, max(n, 1))} }

// enter waits for a slot if body is a large one. leave is never nil.
func (g *Gate) enter(ctx context.Context, body mail.Body) (leave func(), err error) {
	if body.Size() < bigBody {
		return func() {}, nil
	}
	select {
	case g.slots <- struct{}{}:
		return func() { <-g.slots }, nil
	case <-ctx.Done():
		return func() {}, ctx.Err()
	}
}
