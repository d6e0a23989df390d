package main

import (
	"context"
	"slices"
	"strconv"
	"sync/atomic"

	"aliasmx/delivery"
	"aliasmx/internal/mail"
	"aliasmx/internal/shaping"
)

// sites is the queue's Sites, over reloads: delivery knows the hosts, the shaping tables
// what these bear.
type sites struct {
	delivery *delivery.Client
	shaping  atomic.Pointer[shaper]
}

func newSites(d *delivery.Client, s *shaper) *sites {
	all := &sites{delivery: d}
	all.shaping.Store(s)
	return all
}

// update puts the shaper of a reload in force.
func (s *sites) update(next *shaper) {
	next.inherit(s.shaping.Load())
	s.shaping.Store(next)
}

// Site implements queue.Sites.
func (s *sites) Site(ctx context.Context, dest mail.Dest) (mail.Site, error) {
	site, _, err := s.explain(ctx, dest)
	return site, err
}

// explain is Site, with the line that it has its limits from; nil: none.
func (s *sites) explain(ctx context.Context, dest mail.Dest) (mail.Site, *shaping.Answer, error) {
	site, err := s.delivery.Site(ctx, dest)
	domain, port := s.delivery.FirstHop(dest)
	if err != nil || domain == "" {
		return site, nil, err
	}
	a, found := s.shaping.Load().find(ctx, domain, site.Hosts)
	if !found {
		return site, nil, nil
	}
	site.Limits = a.SiteLimits
	group := a.Site
	if group == "" && a.Key == domain && !slices.Equal(site.Hosts, []string{domain}) {
		group = "@" + domain // a line for one domain is not for others with the same hosts
	}
	if group != "" {
		site.Name = group
		if port != 25 { // other servers of the same owner
			site.Name += ":" + strconv.Itoa(int(port))
		}
	}
	return site, &a, nil
}
