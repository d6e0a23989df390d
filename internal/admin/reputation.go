package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
)

// What is counted by alias and destination. Its form is its package's affair.

func (s *Server) reputation(w http.ResponseWriter, r *http.Request) error {
	if s.o.Reputation == nil {
		return errors.New("nothing is counted")
	}
	doc, err := s.o.Reputation(r.URL.Query().Get("about"))
	if err != nil {
		s.refuse(w, http.StatusUnprocessableEntity, err)
		return nil
	}
	s.reply(w, http.StatusOK, json.RawMessage(doc))
	return nil
}

// Reputation reads into answer what is known of an alias, a domain, or of all ("") of them.
// An error that is not ErrDown or ErrForbidden says why there is nothing.
func (c *Client) Reputation(ctx context.Context, about string, answer any) error {
	path := "reputation"
	if about != "" {
		path += "?about=" + url.QueryEscape(about)
	}
	return olderDaemon(c.ask(ctx, http.MethodGet, path, nil, answer))
}
