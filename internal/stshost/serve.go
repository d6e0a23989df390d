package stshost

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"aliasmx/internal/mail"
)

// Path is the one resource that there is (RFC 8461 section 3.3).
const Path = "/.well-known/mta-sts.txt"

// prefix is the first label of the host that a domain's policy is fetched from.
const prefix = "mta-sts."

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	o := s.options.Load()
	domain, ok := domainOf(r.Host)
	// RawPath is there where the path came with escapes: another spelling is another path.
	if !ok || r.URL.Path != Path || r.URL.RawPath != "" || r.URL.RawQuery != "" || r.URL.ForceQuery ||
		r.Method != http.MethodGet && r.Method != http.MethodHead {
		refuse(w, http.StatusNotFound)
		return
	}
	client, _, _ := net.SplitHostPort(r.RemoteAddr)
	ctx, cancel := context.WithTimeout(r.Context(), o.Timeout)
	defer cancel()
	hosted, err := o.Hosted(ctx, domain)
	switch {
	case err != nil:
		// Senders keep the policy that they know; 404 would mean no more, but be untrue.
		o.Log.Warn("policy of " + domain + ": " + err.Error())
		refuse(w, http.StatusServiceUnavailable)
		return
	case !hosted:
		o.Log.Info("no policy of " + domain + " for [" + client + "]: it is not in mta_sts_domains")
		refuse(w, http.StatusNotFound)
		return
	}
	text := o.Policy.String()
	h := w.Header()
	h.Set("Content-Type", "text/plain")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	if r.Method == http.MethodGet {
		_, err = io.WriteString(w, text)
	}
	if err == nil {
		o.Log.Info("policy of " + domain + " to [" + client + "]: mode=" + string(o.Policy.Mode) + ", id=" + ID(o.Policy))
	}
}

// refuse answers without a body worth reading.
func refuse(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(status)
	io.WriteString(w, http.StatusText(status)+"\r\n")
}

// domainOf is the domain whose policy a host has: A-labels in lower case. The host is that
// of the request, perhaps with a port, or a dot at its end.
func domainOf(host string) (string, bool) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	domain, ok := strings.CutPrefix(host, prefix)
	if !ok {
		return "", false
	}
	return domain, isASCII(domain) && mail.ValidHostname(domain)
}
