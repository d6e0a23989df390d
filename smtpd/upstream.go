package smtpd

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"aliasmx/internal/wire"
)

// A listener behind a proxy (smtpd_upstream_proxy_protocol): who the client is, the proxy
// says before anything else, also before TLS. From then on that client is the client, for
// limits, restrictions, the log and the Received field. Without the proxy's word there
// is no service: whom we would serve nobody knows.

// Upstream says which proxies stand before a listener.
type Upstream struct {
	// Hosts are their addresses (ours: smtpd_upstream_proxy_hosts): who could say that he
	// is somebody else, from anywhere, would get past every restriction on clients.
	Hosts   Networks
	Timeout time.Duration // smtpd_upstream_proxy_timeout (5s)
}

// proxied is the peer that the proxy at the other end of a connection speaks for. It is
// false when there is no such word; the log then says why.
func (s *Server) proxied(o *Options, nc net.Conn, p Peer) (Peer, bool) {
	log := o.log
	ctx, cancel := context.WithTimeout(s.ctx, lookupTimeout)
	trusted, err := o.Upstream.Hosts.Match(ctx, "", p.Addr)
	cancel()
	switch {
	case err != nil:
		log.Warn("smtpd_upstream_proxy_hosts: " + err.Error())
		return p, false
	case !trusted:
		log.Warn("haproxy read: " + addrOr(p.Addr) + " is not in smtpd_upstream_proxy_hosts")
		return p, false
	}
	// A shutdown that waits no longer does not wait for a proxy either.
	stop := context.AfterFunc(s.ctx, func() { nc.Close() })
	defer stop()
	nc.SetReadDeadline(time.Now().Add(o.Upstream.Timeout))
	h, err := wire.ReadProxyHeader(nc)
	nc.SetReadDeadline(time.Time{})
	broken, isBroken := errors.AsType[*wire.ProxyError](err)
	switch {
	case isBroken:
		log.Warn("haproxy read: " + broken.Reason + ": " + escape(broken.Read[:min(len(broken.Read), maxReplyLine)]))
	case errors.Is(err, io.EOF):
		log.Warn("haproxy read: EOF")
	case errors.Is(err, io.ErrUnexpectedEOF):
		log.Warn("haproxy read: short protocol header")
	case wire.IsTimeout(err):
		log.Warn("haproxy read: timeout error")
	case err != nil:
		log.Warn("haproxy read: " + err.Error())
	case !h.Local:
		p = Peer{Addr: h.Client.Addr(), Port: h.Client.Port(), Server: netip.AddrPortFrom(h.Server.Addr(), h.Server.Port())}
	}
	return p, err == nil
}
