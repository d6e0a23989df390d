package certs

import (
	"fmt"
	"time"
)

// warnBefore is how long before its end a certificate is told of.
const warnBefore = 14 * 24 * time.Hour

// warnOfExpiry tells once a day of certificates that end soon: nobody notices one that
// has ended but the senders.
func (s *Store) warnOfExpiry() {
	now := s.o.Now()
	s.mu.Lock()
	due := now.Sub(s.told) >= warnInterval || s.told.IsZero()
	if due {
		s.told = now
	}
	s.mu.Unlock()
	if !due {
		return
	}
	for _, e := range s.Expiring() {
		s.o.Warn(e)
	}
}

// Expiring says which of our own certificates have ended, will within 14 days, or have
// not begun.
func (s *Store) Expiring() []string {
	var list []string
	now := s.o.Now()
	for _, c := range s.own.current() {
		name := c.Leaf.Subject.CommonName
		if len(c.Leaf.DNSNames) > 0 {
			name = c.Leaf.DNSNames[0]
		}
		switch left := c.Leaf.NotAfter.Sub(now); {
		case left <= 0:
			list = append(list, fmt.Sprintf("the certificate of %s expired on %s: renew it", name, c.Leaf.NotAfter.Format(time.DateOnly)))
		case now.Before(c.Leaf.NotBefore):
			list = append(list, fmt.Sprintf("the certificate of %s is not valid before %s", name, c.Leaf.NotBefore.Format(time.DateOnly)))
		case left < warnBefore:
			list = append(list, fmt.Sprintf("the certificate of %s expires on %s: renew it", name, c.Leaf.NotAfter.Format(time.DateOnly)))
		}
	}
	return list
}
