package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// Play is a run of random operations on a store, each first done on a model that says
// what the answer must be. The same seed makes the same operations.
type Play struct {
	Seed  uint64
	Clock *Clock // that the store has, too; it should show whole milliseconds
	Model *Model // nil: empty; the store has to hold the same
	Store queue.Store
	// Reopen closes a store and opens it again; nil: that is not tried.
	Reopen func(queue.Store) (queue.Store, error)
	// History, when there is one, learns each state before the store is asked for it, and
	// when the store has said that it is safe.
	History *History
	// Dead is closed when the store has failed for good: what it was given is not answered
	// any more. nil: it does not fail.
	Dead  <-chan struct{}
	Large int  // size of large bodies
	Often bool // every third body is large, not every tenth

	rng   *rand.Rand
	steps int
	ids   []mail.QueueID // of the last messages
	out   []claim        // claimed jobs
	old   []claim        // outcomes of these must change nothing
}

// claim is a claimed job as the model and as the store know it.
type claim struct {
	model *job
	store queue.Job
}

const (
	playDests    = 6
	playMessages = 40 // about so many are in the queue at most
	playLook     = 25 // all that can be seen is compared in every so many steps
)

// Begin gets ready to play. A store that was in use before is looked at.
func (p *Play) Begin() error {
	p.rng = rand.New(rand.NewPCG(p.Seed, 1))
	if p.Model == nil {
		p.Model = NewModel(3)
	}
	for id := range p.Model.messages {
		p.ids = append(p.ids, id)
	}
	slices.Sort(p.ids)
	return p.look()
}

// Run plays so many steps. After each step it compares what the store says of the message
// that was touched, and the destinations; now and then, and at the end, everything. An
// error names seed and step.
func (p *Play) Run(steps int) error {
	for range steps {
		p.steps++
		touched, err := p.step()
		if err == nil {
			err = p.check(touched)
		}
		if err == nil && p.steps%playLook == 0 {
			err = p.look()
		}
		if err != nil {
			return fmt.Errorf("seed %d, step %d: %w", p.Seed, p.steps, err)
		}
	}
	if err := p.look(); err != nil {
		return fmt.Errorf("seed %d, after step %d: %w", p.Seed, p.steps, err)
	}
	return nil
}

// Steps is how many have been played.
func (p *Play) Steps() int { return p.steps }

func (p *Play) step() (touched mail.QueueID, err error) {
	switch n := p.rng.IntN(200); {
	case n < 32 && len(p.Model.messages) < playMessages:
		return p.commit()
	case n < 35:
		return 0, p.abort()
	case n < 76:
		return 0, p.claim()
	case n < 82:
		return 0, p.woken()
	case n < 124:
		return p.outcomes(1)
	case n < 134:
		return p.outcomes(2 + p.rng.IntN(5))
	case n < 144:
		return 0, p.release()
	case n < 154:
		return p.id(), nil // it is loaded by check
	case n < 164:
		p.Clock.Add(time.Duration(p.rng.IntN(400)) * time.Second)
	case n < 199:
		return p.operator()
	case p.Reopen != nil:
		return 0, p.reopen()
	}
	return 0, nil
}

// tried notes a state that the store is about to be asked for.
func (p *Play) tried(ids ...mail.QueueID) (state int) {
	if p.History == nil {
		return 0
	}
	return p.History.try(p.Model, ids)
}

// safe notes that the store has said yes.
func (p *Play) safe(state int) {
	if p.History != nil {
		p.History.safe(state)
	}
}

func (p *Play) dest() mail.Dest {
	return mail.Dest(fmt.Sprintf("smtp:d%d.example", p.rng.IntN(playDests)))
}

func (p *Play) id() mail.QueueID {
	if len(p.ids) == 0 {
		return 1
	}
	return p.ids[p.rng.IntN(len(p.ids))]
}

// letter makes up a message, with size and checksum.
func (p *Play) letter(report bool) (*mail.Envelope, []byte) {
	var dests []mail.Dest
	for range 1 + p.rng.IntN(6) {
		dests = append(dests, p.dest())
	}
	env := Envelope(p.Store.IDs().Next(), p.Clock.Now(), dests...)
	body := make([]byte, p.rng.IntN(200))
	switch {
	case report:
		env.Sender, env.Flags = mail.Address{}, env.Flags|mail.FlagNotice
	case p.rng.IntN(10) == 0 || p.Often && p.rng.IntN(4) == 0:
		body = make([]byte, p.Large/2+p.rng.IntN(p.Large/2))
	case p.rng.IntN(12) == 0:
		env.Flags |= mail.FlagHold
	}
	for i := range body {
		body[i] = byte(p.rng.Uint32())
	}
	var scan queue.BodyScan
	_, _ = scan.Write(body)
	scan.Fill(env)
	if p.ids = append(p.ids, env.ID); len(p.ids) > playMessages {
		p.ids = p.ids[1:]
	}
	return env, body
}

// stage writes a body, in pieces.
func (p *Play) stage(body []byte) (queue.Staged, error) {
	d, err := p.Store.Stage(context.Background())
	if err != nil {
		return nil, fmt.Errorf("Stage: %w", err)
	}
	for rest := body; len(rest) > 0; {
		n := min(len(rest), 1+p.rng.IntN(5000))
		if _, err := d.Write(rest[:n]); err != nil {
			d.Abort()
			return nil, fmt.Errorf("Write: %w", err)
		}
		rest = rest[n:]
	}
	return d, nil
}

func (p *Play) commit() (mail.QueueID, error) {
	env, body := p.letter(false)
	d, err := p.stage(body)
	if err != nil {
		return 0, err
	}
	defer d.Abort()
	made := p.Model.commit(env, body, p.Clock.Now())
	state := p.tried(env.ID)
	e := *env
	jobs, err := d.Commit(context.Background(), &e)
	if err != nil {
		return 0, fmt.Errorf("Commit: %w", err)
	}
	p.safe(state)
	return env.ID, p.given(made, jobs)
}

// abort begins a message and thinks better of it.
func (p *Play) abort() error {
	d, err := p.stage(make([]byte, p.rng.IntN(p.Large)))
	if err != nil {
		return err
	}
	d.Abort()
	return nil
}

// given notes the jobs of new messages.
func (p *Play) given(model []*job, store []queue.Job) error {
	if len(model) != len(store) {
		return fmt.Errorf("jobs %+v, want %d", store, len(model))
	}
	for i, j := range model {
		if err := j.same(&store[i]); err != nil {
			return err
		}
		p.out = append(p.out, claim{j, store[i]})
	}
	return nil
}

// same compares a job that was given out with what it must be.
func (j *job) same(k *queue.Job) error {
	if k.Dest != j.dest || !slices.Equal(k.Rcpts, j.rcpts) || k.Attempts != j.attempts ||
		!k.Due.Equal(j.due) || k.Expired != j.expired || k.Bulk != j.bulk {
		return fmt.Errorf("job %+v, want %+v", *k, *j)
	}
	return nil
}

// check compares what the store says of a message, and of the destinations.
func (p *Play) check(id mail.QueueID) error {
	got, err := Heads(p.Store)
	if err == nil {
		err = sameHeads(got, p.Model.Heads())
	}
	if err != nil || id == 0 {
		return err
	}
	want := p.Model.messages[id]
	if want == nil {
		if _, _, err := p.Store.Load(context.Background(), id); !errors.Is(err, queue.ErrNotFound) {
			return fmt.Errorf("Load %s, which is gone: %w", id, err)
		}
		return nil
	}
	if err := want.check(); err != nil {
		return err
	}
	return sameStored(p.Store, want)
}

// sameStored loads a message and compares it.
func sameStored(s queue.Store, want *message) error {
	env, body, err := s.Load(context.Background(), want.env.ID)
	if err != nil {
		return fmt.Errorf("Load %s: %w", want.env.ID, err)
	}
	if err := SameEnvelope(env, want.env); err != nil {
		return fmt.Errorf("Load %s: %w", want.env.ID, err)
	}
	if b, err := ReadBody(body); err != nil || !bytes.Equal(b, want.body) {
		return fmt.Errorf("Load %s: body of %d bytes, %w, want %d bytes", want.env.ID, len(b), err, len(want.body))
	}
	return nil
}

func sameHeads(got, want []queue.DestHead) error {
	SortHeads(got)
	SortHeads(want)
	if !slices.EqualFunc(got, want, func(a, b queue.DestHead) bool { return a.Dest == b.Dest && a.NextDue.Equal(b.NextDue) }) {
		return fmt.Errorf("heads\n got %v\nwant %v", got, want)
	}
	return nil
}

// look compares all that can be seen.
func (p *Play) look() error {
	list, err := List(p.Store)
	if err != nil {
		return fmt.Errorf("List: %w", err)
	}
	last := mail.QueueID(0)
	listed := make(map[string]int64)
	for _, l := range list {
		want := p.Model.messages[l.ID]
		if want == nil || l.ID <= last {
			return fmt.Errorf("listed %+v after %s", l, last)
		}
		last = l.ID
		if err := sameListed(l, want.listed()); err != nil {
			return err
		}
		if one, err := p.Store.Find(context.Background(), l.ID); err != nil || sameListed(one, l) != nil {
			return fmt.Errorf("found %+v, %v; listed %+v", one, err, l)
		}
		listed[l.Queue]++
		if err := p.check(l.ID); err != nil {
			return err
		}
	}
	if len(list) != len(p.Model.messages) {
		return fmt.Errorf("%d messages are listed, want %d", len(list), len(p.Model.messages))
	}
	counts, err := p.Store.Counts(context.Background())
	for _, name := range []string{"incoming", "active", "deferred", "hold", "corrupt"} {
		if err != nil || counts.Of(name) != listed[name] {
			return fmt.Errorf("counts %+v, %v; listed %v", counts, err, listed)
		}
	}
	return p.check(0)
}

func sameListed(a, b mail.Listed) error {
	if a.Queue != b.Queue || a.ID != b.ID || !a.Arrived.Equal(b.Arrived) || a.Size != b.Size ||
		a.Sender != b.Sender || a.Expired != b.Expired || !slices.Equal(a.Rcpts, b.Rcpts) {
		return fmt.Errorf("listed\n got %+v\nwant %+v", a, b)
	}
	return nil
}
