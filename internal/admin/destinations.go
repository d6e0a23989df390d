package admin

import (
	"net/http"

	"aliasmx/internal/mail"
)

// Destinations on hold.

func (s *Server) hold(w http.ResponseWriter, r *http.Request) error {
	var l heldLine
	if err := s.read(w, r, &l); err != nil {
		return err
	}
	if err := s.o.Queue.HoldDest(r.Context(), mail.Dest(l.Dest), string(l.Reason)); err != nil {
		return err
	}
	s.reply(w, http.StatusOK, struct{}{})
	return nil
}

func (s *Server) release(w http.ResponseWriter, r *http.Request) error {
	var l heldLine
	if err := s.read(w, r, &l); err != nil {
		return err
	}
	if err := s.o.Queue.ReleaseDest(r.Context(), mail.Dest(l.Dest)); err != nil {
		return err
	}
	s.reply(w, http.StatusOK, struct{}{})
	return nil
}

func (s *Server) held(w http.ResponseWriter, r *http.Request) error {
	all, err := s.o.Queue.HeldDests(r.Context())
	if err != nil {
		return err
	}
	lines := make([]heldLine, len(all))
	for i, h := range all {
		lines[i] = heldLine{text(h.Dest), text(h.Reason), h.Since}
	}
	s.reply(w, http.StatusOK, lines)
	return nil
}
