package login

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"
)

// Gate bounds how many passwords are hashed at a time, over all listeners: each may take
// 64 MiB and a part of a second. Who comes beyond that waits, a while; who comes beyond
// those who wait is told to try again. Its zero value is ready for use.
type Gate struct {
	once    sync.Once
	slots   chan struct{}
	waiting chan struct{}
}

const (
	maxAtOnce  = 4
	maxWaiting = 100
	maxWait    = 20 * time.Second
)

var errBusy = errors.New("too many clients log in at the moment")

func (g *Gate) init() {
	g.once.Do(func() {
		// Half of the processors stay for mail.
		g.slots = make(chan struct{}, min(max(runtime.GOMAXPROCS(0)/2, 1), maxAtOnce))
		g.waiting = make(chan struct{}, maxWaiting)
	})
}

// do runs work when there is room for it.
func (g *Gate) do(ctx context.Context, work func()) error {
	g.init()
	select {
	case g.waiting <- struct{}{}:
	default:
		return errBusy
	}
	t := time.NewTimer(maxWait)
	defer t.Stop()
	select {
	case g.slots <- struct{}{}:
		<-g.waiting
	case <-t.C:
		<-g.waiting
		return errBusy
	case <-ctx.Done():
		<-g.waiting
		return ctx.Err()
	}
	defer func() { <-g.slots }()
	work()
	return nil
}
