package queue

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"aliasmx/internal/cachefile"
	"aliasmx/internal/mail"
)

// A client that has not heard that its message was taken sends it again. So a message that
// was done with in vain is remembered for a day, by the digest of its envelope and its bytes
// as they came (nothing that we add is one of them) and the network of the client. The same
// from there is answered as the first should have been, and sent to nobody who has it. Once
// the client has heard, it is forgotten: who sends the same twice on purpose is obeyed.

const (
	unheardFor  = 24 * time.Hour
	unheardMost = 10_000
	unheardKind = "relay_unheard 1"
)

// trace is what a message is known again by.
type trace struct {
	key   string
	rcpts []int // those of the envelope under way, in the one that the digest is of
}

// traceOf reads a message once: for its trace, and for what a store notes of a body.
func traceOf(env *mail.Envelope, body mail.Body, with *mail.WhileConnected) (trace, error) {
	content := with.Content
	h := sha256.New()
	fmt.Fprintf(h, "%q %q\n", env.Sender.String(), env.EnvID)
	t := trace{rcpts: make([]int, len(env.Rcpts))}
	for i := range env.Rcpts {
		fmt.Fprintf(h, "%q %q\n", env.Rcpts[i].Orig.String(), env.Rcpts[i].Final.String())
		t.rcpts[i] = i
	}
	in, err := body.Open()
	if err != nil {
		return t, err
	}
	defer in.Close()
	var scan BodyScan
	into := io.Writer(&scan)
	if content == nil {
		into = io.MultiWriter(h, &scan)
	}
	h.Write(content)
	if _, err := io.Copy(into, in); err != nil {
		return t, err
	}
	scan.Fill(env)
	t.key = hex.EncodeToString(h.Sum(nil)) + " " + with.Network.String()
	return t, nil
}

// original are recipients of the envelope under way, as they stand in that of the digest.
func (t *trace) original(rcpts map[int]bool) []int {
	var list []int
	for n := range rcpts {
		list = append(list, t.rcpts[n])
	}
	slices.Sort(list)
	return list
}

// again looks whether the message was done with before, and tells whether all of it was. Those
// who have it are taken out.
func (r *relay) again() (all bool) {
	e, known := r.q.unheard.find(r.trace)
	if !known {
		return false
	}
	if e.done == nil {
		r.q.logConnected(r.env.ID, "not sent again: it is "+e.id+", which was taken, but the client has not heard so")
		return true
	}
	var left []mail.Recipient
	var rcpts []int
	for i := range r.env.Rcpts {
		if !slices.Contains(e.done, i) {
			left, rcpts = append(left, r.env.Rcpts[i]), append(rcpts, i)
		}
	}
	r.q.logConnected(r.env.ID, fmt.Sprintf("not sent again to %d recipients, who have it as %s", len(e.done), e.id))
	if len(left) == 0 {
		return true
	}
	r.env.Rcpts, r.trace.rcpts, r.before = left, rcpts, true
	return false
}

// hearing is what to do when it is known whether the client has heard the 250.
func (r *relay) hearing() func(bool) {
	q, t, id := r.q, r.trace, r.env.ID
	return func(heard bool) {
		if heard {
			q.unheard.remove(t)
		} else {
			q.unheard.add(t, id, nil)
		}
		q.underway.leave(r) // whoever does not find it there finds it remembered
		if !heard {
			q.logConnected(id, "the client has not heard that it was taken: the same from its network is not sent again for a day")
		}
	}
}

// unheard is the memory of these. It is safe for concurrent use.
type unheard struct {
	file string
	now  func() time.Time
	log  *slog.Logger

	mu      sync.Mutex // guards what follows
	entries map[string]unheardEntry
	version uint64 // of entries

	saving sync.Mutex // held by who writes the file
	saved  uint64     // guarded by saving
}

// unheardEntry is one message.
type unheardEntry struct {
	id   string
	done []int // recipients that have it; nil: all have, or the queue has it for them
	at   time.Time
}

// newUnheard reads the file; one that cannot be read is warned about.
func newUnheard(file string, now func() time.Time, log *slog.Logger) *unheard {
	u := &unheard{file: file, now: now, log: log, entries: make(map[string]unheardEntry)}
	if file == "" {
		return u
	}
	b, err := cachefile.Read(file)
	if err == nil && b != nil {
		_, err = cachefile.Decode(unheardKind, b, u.decode)
	}
	if err != nil {
		u.warn(fmt.Sprintf("%s: %v; starting without what it knew", file, err))
		u.entries = make(map[string]unheardEntry)
	}
	return u
}

func (u *unheard) warn(text string) {
	u.log.Warn("relay while connected: "+text, slog.String(mail.KeyDaemon, "qmgr"))
}

func (u *unheard) find(t trace) (unheardEntry, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	e, ok := u.entries[t.key]
	return e, ok && u.now().Sub(e.at) < unheardFor
}

// add remembers a message; done are recipients that have it, nil: it is done with.
func (u *unheard) add(t trace, id mail.QueueID, done []int) {
	u.mu.Lock()
	if old, ok := u.entries[t.key]; ok && old.done != nil && done != nil {
		done = slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(old.done), done...))))
	}
	if old, ok := u.entries[t.key]; ok && old.done == nil && u.now().Sub(old.at) < unheardFor {
		u.mu.Unlock() // it lasts no longer for that: after a day the message is sent again
		return
	}
	u.makeRoom()
	u.entries[t.key] = unheardEntry{id: id.String(), done: done, at: u.now()}
	u.version++
	u.mu.Unlock()
	u.save()
}

// remove forgets a message.
func (u *unheard) remove(t trace) {
	u.mu.Lock()
	_, ok := u.entries[t.key]
	delete(u.entries, t.key)
	if ok {
		u.version++
	}
	u.mu.Unlock()
	if ok {
		u.save()
	}
}

// makeRoom drops what is too old, and if there is too much the oldest tenth. It needs u.mu.
func (u *unheard) makeRoom() {
	if len(u.entries) < unheardMost {
		return
	}
	type aged struct {
		key string
		at  time.Time
	}
	all := make([]aged, 0, len(u.entries))
	for key, e := range u.entries {
		all = append(all, aged{key, e.at})
	}
	slices.SortFunc(all, func(a, b aged) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.key, b.key)) })
	for i, a := range all {
		if i < unheardMost/10 || u.now().Sub(a.at) >= unheardFor {
			delete(u.entries, a.key)
		}
	}
}

// save writes the file. Of several that want that at once one does it for all.
func (u *unheard) save() {
	if u.file == "" {
		return
	}
	u.mu.Lock()
	want := u.version
	u.mu.Unlock()
	u.saving.Lock()
	defer u.saving.Unlock()
	if u.saved >= want {
		return
	}
	lines, n, version := u.encode()
	if err := cachefile.Write(u.file, cachefile.Encode(unheardKind, time.Time{}, n, lines)); err != nil {
		u.warn(err.Error() + "; what clients have not heard of is kept in memory only")
	}
	u.saved = version
}

func (u *unheard) encode() (lines []byte, n int, version uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := u.now()
	for key, e := range u.entries {
		if now.Sub(e.at) >= unheardFor {
			continue
		}
		n++
		lines = fmt.Appendf(lines, "%s %d %s %s\n", key, cachefile.Unix(e.at), e.id, encodeDone(e.done))
	}
	return lines, n, u.version
}

func encodeDone(done []int) string {
	if done == nil {
		return "all"
	}
	var b bytes.Buffer
	for i, n := range done {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(n))
	}
	return b.String()
}

func (u *unheard) decode(line string) bool {
	words := strings.Split(line, " ")
	if len(words) != 5 || len(words[0]) != 2*sha256.Size {
		return false
	}
	secs, err := strconv.ParseInt(words[2], 10, 64)
	if err != nil {
		return false
	}
	e := unheardEntry{id: words[3], at: cachefile.FromUnix(secs)}
	if words[4] != "all" {
		for s := range strings.SplitSeq(words[4], ",") {
			n, err := strconv.Atoi(s)
			if err != nil || n < 0 {
				return false
			}
			e.done = append(e.done, n)
		}
	}
	u.entries[words[0]+" "+words[1]] = e
	return len(u.entries) <= unheardMost
}
