package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
)

// What was counted for TLS reports. Its form is its package's affair.

func (s *Server) tlsReport(w http.ResponseWriter, r *http.Request) error {
	if s.o.TLSReport == nil {
		return errors.New("there are no TLS reports")
	}
	doc, err := s.o.TLSReport(r.URL.Query().Get("domain"))
	if err != nil {
		s.refuse(w, http.StatusUnprocessableEntity, err)
		return nil
	}
	s.reply(w, http.StatusOK, json.RawMessage(doc))
	return nil
}

// TLSReport reads into answer what was counted, or, of a domain, the report that would be
// sent now. An error that is not ErrDown or ErrForbidden says why there is none.
func (c *Client) TLSReport(ctx context.Context, domain string, answer any) error {
	path := "tlsrpt"
	if domain != "" {
		path += "?domain=" + url.QueryEscape(domain)
	}
	return olderDaemon(c.ask(ctx, http.MethodGet, path, nil, answer))
}
