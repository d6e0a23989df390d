package sqltable

import (
	"io"
	"time"

	"aliasmx/internal/table"
	"aliasmx/internal/table/dbtable"
)

const (
	dialTimeout   = 5 * time.Second
	lookupTimeout = 10 * time.Second

	// maxAnswer bounds what is kept of a server's answer to one question.
	maxAnswer = 16 << 20
)

// pool reads retry_interval and idle_interval, and makes the pool of a type. The
// clock of the connections is the real one, as theirs are network waits.
func pool[C io.Closer](c *dbtable.Config, o table.Options, po dbtable.PoolOptions[C]) *dbtable.Pool[C] {
	po.Retry = time.Duration(c.Int("retry_interval", 60, 1)) * time.Second
	po.Idle = time.Duration(c.Int("idle_interval", 60, 1)) * time.Second
	po.DialTimeout, po.LookupTimeout, po.Now = dialTimeout, lookupTimeout, o.Now
	return dbtable.NewPool(po)
}

// answer collects the values of a server's answer.
type answer struct {
	values []string
	bytes  int
}

// add tells whether there is room for the value.
func (a *answer) add(value string) bool {
	a.values = append(a.values, value)
	a.bytes += len(value) + 16
	return a.bytes <= maxAnswer
}

// to adds the values to a lookup's result.
func (a *answer) to(r *dbtable.Result) error {
	for _, value := range a.values {
		if err := r.Add(value); err != nil {
			return err
		}
	}
	return nil
}
