package main

import (
	"context"
	"net"

	"aliasmx/internal/postconf"
	"aliasmx/internal/stshost"
)

// stsDoors is the server of policies over reloads, and where it listens.
type stsDoors struct {
	server *stshost.Server // nil until the first policy is served
	doors  map[string]net.Listener
}

// bind binds the addresses of a view that are not bound yet. When one cannot be had, none
// of the new ones stays.
func (s *stsDoors) bind(v *view) (fresh map[string]net.Listener, err error) {
	fresh = make(map[string]net.Listener)
	if v.sts == nil {
		return fresh, nil
	}
	for _, addr := range v.sts.addrs {
		if s.doors[addr] != nil || fresh[addr] != nil {
			continue
		}
		l, err := net.Listen(postconf.Network(addr), addr)
		if err != nil {
			closeDoors(fresh)
			return nil, cannotListen("mta_sts_listen ("+v.cfg.Where("mta_sts_listen")+")", addr, err)
		}
		fresh[addr] = l
	}
	return fresh, nil
}

func closeDoors(doors map[string]net.Listener) {
	for _, l := range doors {
		l.Close()
	}
}

// put puts a view in force, with what bind has bound for it. What is under way at an address
// that is no longer wanted comes to its end.
func (s *stsDoors) put(v *view, fresh map[string]net.Listener, serve func(addr string, l net.Listener)) {
	wanted := make(map[string]bool)
	if v.sts != nil {
		for _, addr := range v.sts.addrs {
			wanted[addr] = true
		}
		if s.server == nil {
			s.server = stshost.New(v.sts.options)
		}
		s.server.Update(v.sts.options)
	}
	now := make(map[string]net.Listener)
	for addr, l := range s.doors {
		if now[addr] = l; !wanted[addr] {
			delete(now, addr)
			l.Close()
		}
	}
	for addr, l := range fresh {
		now[addr] = l
		serve(addr, l)
	}
	s.doors = now
}

func (s *stsDoors) shutdown(ctx context.Context) {
	if s.server != nil {
		s.server.Shutdown(ctx)
	}
}

// servePolicies serves at one address.
func (d *daemon) servePolicies(addr string, l net.Listener) {
	server := d.policies.server
	d.wg.Go(func() { d.broke("mta_sts_listen "+addr, server.Serve(l)) })
}
