package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"aliasmx/internal/postconf"
	"aliasmx/smtpd"
)

// port is one bound address and the server behind it.
type port struct {
	where  string // the line of master.cf
	ln     net.Listener
	server *smtpd.Server
	served chan error
}

// bind binds every address of a view that is not bound yet. When one cannot be had,
// none of the new ones stays.
func bind(v *view, have map[string]*port) (fresh map[string]*port, err error) {
	fresh = map[string]*port{}
	defer func() {
		if err != nil {
			for _, p := range fresh {
				p.ln.Close()
			}
		}
	}()
	for _, l := range v.listeners {
		for _, addr := range l.addrs {
			if have[addr] != nil || fresh[addr] != nil {
				continue
			}
			ln, err := net.Listen(postconf.Network(addr), addr)
			if err != nil {
				return fresh, cannotListen(l.where, addr, err)
			}
			fresh[addr] = &port{where: l.where, ln: ln}
		}
	}
	return fresh, nil
}

// cannotListen says why an address cannot be had, and what to do.
func cannotListen(where, addr string, err error) error {
	remedy := "stop what uses the port or choose another"
	if errors.Is(err, syscall.EACCES) {
		remedy = "a port below 1024 takes root, which is given up after the start: restart, or give the process CAP_NET_BIND_SERVICE"
	}
	return fmt.Errorf("%s: cannot listen on %s: %w; %s", where, addr, err, remedy)
}

// provePorts refuses addresses of which one would keep the other from being bound: the
// same port of the same address, or of all addresses of its family. The same one twice in
// one list is bound once.
func (v *view) provePorts() error {
	type bound struct {
		where string
		addr  netip.AddrPort
		sts   bool
	}
	var all []bound
	add := func(where, addr string, sts bool) error {
		b := bound{where: where, sts: sts}
		var err error
		if b.addr, err = netip.ParseAddrPort(addr); err != nil || b.addr.Port() == 0 {
			return nil // whoever binds it will say
		}
		for _, a := range all {
			if a.addr == b.addr && a.sts == b.sts || a.addr.Port() != b.addr.Port() {
				continue
			}
			ip, taken := b.addr.Addr(), a.addr.Addr()
			if ip == taken || ip.Is4() == taken.Is4() && (ip.IsUnspecified() || taken.IsUnspecified()) {
				return fmt.Errorf("%s: cannot listen on %s: %s (%s) takes its port; choose another, or remove one", where, b.addr, a.addr, a.where)
			}
		}
		all = append(all, b)
		return nil
	}
	for _, l := range v.listeners {
		for _, addr := range l.addrs {
			if err := add(l.where, addr, false); err != nil {
				return err
			}
		}
	}
	if v.sts != nil {
		for _, addr := range v.sts.addrs {
			if err := add("mta_sts_listen ("+v.cfg.Where("mta_sts_listen")+")", addr, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// wanted are the addresses of a view, with the options of each.
func (v *view) wanted() map[string]smtpd.Options {
	all := map[string]smtpd.Options{}
	for _, l := range v.listeners {
		for _, addr := range l.addrs {
			if _, twice := all[addr]; !twice {
				all[addr] = l.smtpd
			}
		}
	}
	return all
}

// retireLimit is how long transactions under way may take on a port that a reload has taken
// away. Nobody waits for them, unless the daemon is to end.
const retireLimit = 10 * time.Minute

// retire ends a server whose port is no longer in the configuration.
func (d *daemon) retire(s *smtpd.Server) {
	limit, cancel := context.WithTimeout(context.Background(), retireLimit)
	defer cancel()
	hurry := context.AfterFunc(d.ending, func() { time.AfterFunc(stopLimit, cancel) })
	defer hurry()
	s.Shutdown(limit)
}
