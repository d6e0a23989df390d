package tlsrpt

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"
)

// Reports by HTTPS: RFC 8460 section 5.4.
//
// The server's certificate is verified, which section 3 leaves to us: a report says who
// writes to whom how often, and a domain that wants it whatever its certificates are like
// can name a mail address. Redirects are not followed, and no server is asked that is not
// a public one: the record's author chooses the address, not what of ours is reached by it.

const (
	postTime    = time.Minute // one server, all addresses
	connectTime = 10 * time.Second
	maxAnswer   = 16 << 10
)

// post sends a report to an HTTPS address, and tells what the server said.
func (r *Reporter) post(ctx context.Context, l *letter, uri string, packed []byte) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, postTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, uri, bytes.NewReader(packed))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/tlsrpt+gzip")
	req.Header.Set("User-Agent", "aliasmx")
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			return r.connect(ctx, &l.params, addr)
		},
		TLSClientConfig:        &tls.Config{RootCAs: r.o.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    connectTime,
		ResponseHeaderTimeout:  postTime,
		MaxResponseHeaderBytes: maxAnswer,
		DisableKeepAlives:      true,
		DisableCompression:     true,
	}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req) // and no further, whatever the answer says
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer) // the answer was in the status
	if resp.StatusCode/100 != 2 {
		return "", fmt.Errorf("the server answered %s", clean(resp.Status, maxReason))
	}
	return clean(resp.Status, maxReason), nil
}

// connect tries the addresses of a server one after the other.
func (r *Reporter) connect(ctx context.Context, p *Params, hostPort string) (net.Conn, error) {
	host, service, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return nil, err
	}
	addrs := make([]netip.Addr, 1)
	if addrs[0], err = netip.ParseAddr(host); err != nil {
		if addrs, err = p.Addrs(ctx, host); err != nil {
			return nil, err
		}
	}
	err = fmt.Errorf("%s has no address", host)
	for _, a := range addrs[:min(len(addrs), 4)] {
		var conn net.Conn
		if conn, err = r.dial(ctx, netip.AddrPortFrom(address(a), uint16(port))); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

func (r *Reporter) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	if r.o.Dial != nil {
		return r.o.Dial(ctx, to)
	}
	if !public(to.Addr()) {
		return nil, fmt.Errorf("%s is no public address", to.Addr())
	}
	return new(net.Dialer).DialContext(ctx, "tcp", to.String())
}

// public tells whether an address is one of the Internet: none of this machine, of this
// network, or of what stands for them (RFC 6890).
func public(a netip.Addr) bool {
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, own := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", "240.0.0.0/4",
		"64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "fec0::/10",
	} {
		if netip.MustParsePrefix(own).Contains(a) {
			return false
		}
	}
	return true
}
