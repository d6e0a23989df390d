package memstore_test

import (
	"errors"
	"testing"

	"aliasmx/queue"
	"aliasmx/queue/memstore"
	"aliasmx/queue/storetest"
)

func open(t *testing.T, o storetest.Options) queue.Store {
	s := memstore.New(memstore.Options{Now: o.Now, RecipientLimit: o.RecipientLimit})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestConformance(t *testing.T) { storetest.Run(t, open) }

func TestFull(t *testing.T) {
	s := memstore.New(memstore.Options{})
	defer s.Close()
	s.SetFull(true)
	if err := s.Admit(1); !errors.Is(err, queue.ErrNoSpace) {
		t.Errorf("Admit: %v", err)
	}
	if _, err := s.Stage(t.Context()); !errors.Is(err, queue.ErrNoSpace) {
		t.Errorf("Stage: %v", err)
	}
	s.SetFull(false)
	if err := s.Admit(1); err != nil {
		t.Errorf("Admit: %v", err)
	}
}
