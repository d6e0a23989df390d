package admin

import (
	"log/slog"
	"net/http"

	"aliasmx/internal/mail"
)

// What is asked about the daemon as a whole.

func (s *Server) health(w http.ResponseWriter, _ *http.Request) error {
	if s.o.Health != nil {
		if err := s.o.Health(); err != nil {
			s.refuse(w, http.StatusServiceUnavailable, err)
			return nil
		}
	}
	s.reply(w, http.StatusOK, struct{}{})
	return nil
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) error {
	var st Status
	if s.o.Status != nil {
		st = s.o.Status()
	}
	s.reply(w, http.StatusOK, st)
	return nil
}

// stop answers first: Stop may close this very connection.
func (s *Server) stop(w http.ResponseWriter, r *http.Request) error {
	s.log.Info("stop requested", slog.String(mail.KeyDaemon, "master"), slog.Int(mail.KeyUID, uidOf(r)))
	s.reply(w, http.StatusAccepted, struct{}{})
	http.NewResponseController(w).Flush()
	if s.o.Stop != nil {
		s.o.Stop()
	}
	return nil
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) error {
	s.log.Info("reload requested", slog.String(mail.KeyDaemon, "master"), slog.Int(mail.KeyUID, uidOf(r)))
	if s.o.Reload != nil {
		if err := s.o.Reload(); err != nil {
			s.refuse(w, http.StatusUnprocessableEntity, err)
			return nil
		}
	}
	s.reply(w, http.StatusOK, struct{}{})
	return nil
}
