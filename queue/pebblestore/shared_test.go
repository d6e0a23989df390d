package pebblestore_test

import (
	"runtime"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/internal/mail"
	"aliasmx/queue/pebblestore"
)

// The attempts of a message share one envelope: with one each, a message for many
// recipients would be in memory as often as it has attempts. A rerouted message has
// another.
func TestAttemptsShareEnvelope(t *testing.T) {
	s := mustOpen(t, pebblestore.Options{Dir: "/queue", FS: vfs.NewMem()})
	defer s.Close()
	jobs, err := commitOne(s, []byte("body\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	id := jobs[0].ID
	load := func() *mail.Envelope {
		t.Helper()
		env, _, err := s.Load(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return env
	}
	first, second := load(), load()
	if first != second {
		t.Error("each attempt has an envelope of its own")
	}
	if _, err := s.Requeue(t.Context(), id, func(_ mail.Address, r mail.Recipient) []mail.Recipient {
		r.Dest = "smtp:elsewhere.example"
		return []mail.Recipient{r}
	}); err != nil {
		t.Fatal(err)
	}
	if got := load().Rcpts[0].Dest; got != "smtp:elsewhere.example" {
		t.Errorf("after Requeue an attempt goes to %s", got)
	}
	runtime.KeepAlive(first)
}
