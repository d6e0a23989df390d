package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"aliasmx/delivery"
	"aliasmx/internal/dns"
	"aliasmx/internal/table"
)

// From which address which mail leaves: smtp_bind_address_maps, smtp_helo_name_maps.

// sources gives a transport its tables. LMTP has none: it is spoken to hosts of our own.
func (s *sender) sources(o *delivery.Options) error {
	if s.lmtp {
		return nil
	}
	const byClass, byAddress = "smtp_bind_address_maps", "smtp_helo_name_maps"
	if maps := s.maps(byClass); maps != nil {
		where := s.cfg.Where(byClass)
		if err := eachEntry(maps, checkSource(byClass), where); err != nil {
			return err
		}
		o.Sources = func(ctx context.Context, class string, names []string) (delivery.Source, bool, error) {
			keys := make([]string, 0, 4)
			for _, name := range names {
				keys = append(keys, class+"@"+name)
			}
			for _, key := range append(keys, class) {
				value, _, found, err := maps.Lookup(ctx, key)
				if err == nil && !found {
					continue
				}
				var from delivery.Source
				if err == nil {
					from, err = parseSource(value)
				}
				if err != nil {
					err = fmt.Errorf("%s (%s): %s: %w", byClass, where, key, err)
				}
				return from, true, err
			}
			return delivery.Source{}, false, nil
		}
	}
	if maps := s.maps(byAddress); maps != nil {
		where := s.cfg.Where(byAddress)
		if err := eachEntry(maps, checkHeloName(byAddress), where); err != nil {
			return err
		}
		o.HeloNames = func(ctx context.Context, from netip.Addr) (string, bool, error) {
			name, _, found, err := maps.Lookup(ctx, from.String())
			if err == nil && found && !isHeloName(name) {
				err = errHeloName(name)
			}
			if err != nil {
				err = fmt.Errorf("%s (%s): %s: %w", byAddress, where, from, err)
			}
			return name, found, err
		}
	}
	return s.err
}

// parseSource reads one or two addresses.
func parseSource(value string) (from delivery.Source, err error) {
	words := strings.FieldsFunc(value, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' })
	for _, word := range words {
		a, err := netip.ParseAddr(strings.Trim(word, "[]"))
		switch a = a.Unmap(); {
		case err != nil || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast():
			return from, fmt.Errorf("%q is no address of this machine; write an IPv4 address, an IPv6 address, or both", word)
		case a.Is4() && !from.IPv4.IsValid():
			from.IPv4 = a
		case a.Is6() && !from.IPv6.IsValid():
			from.IPv6 = a
		default:
			return from, fmt.Errorf("%q: there is another address of that kind; write one IPv4 address and one IPv6 address at most", word)
		}
	}
	if len(words) == 0 {
		return from, fmt.Errorf("no address; write an IPv4 address, an IPv6 address, or both")
	}
	return from, nil
}

func checkSource(parameter string) func(key, value, at string) error {
	return func(key, value, at string) error {
		class, _, _ := strings.Cut(key, "@")
		if key != "" && !slices.Contains(delivery.Classes(), class) {
			return fmt.Errorf("%s (%s): %s: there is no such class of mail; there are: %s", parameter, at, key, strings.Join(delivery.Classes(), " "))
		}
		if _, err := parseSource(value); err != nil {
			return fmt.Errorf("%s (%s): %s: %w", parameter, at, key, err)
		}
		return nil
	}
}

func checkHeloName(parameter string) func(key, value, at string) error {
	return func(key, value, at string) error {
		if _, err := netip.ParseAddr(key); key != "" && err != nil {
			return fmt.Errorf("%s (%s): %s: no address; write the one that is connected from", parameter, at, key)
		}
		if !isHeloName(value) {
			return fmt.Errorf("%s (%s): %s: %w", parameter, at, key, errHeloName(value))
		}
		return nil
	}
}

func isHeloName(name string) bool { return dns.ValidName(name) }

func errHeloName(name string) error { return fmt.Errorf("%q is no host name", name) }

// eachEntry calls check with the entries of tables that can be listed, and with the results
// of those whose results alone can be (key ""). where is the parameter's place.
func eachEntry(maps table.Maps, check func(key, value, at string) error, where string) error {
	for _, m := range maps {
		if !table.Local(m.Name()) {
			continue
		}
		var fault error
		var err error
		switch list := m.(type) {
		case table.Lister:
			err = list.Each(func(key, value string) bool {
				at := where
				if l, ok := m.(table.Locator); ok {
					if line := l.Locate(key); line != "" {
						at = line
					}
				}
				fault = check(key, value, at)
				return fault == nil
			})
		case table.Valued:
			err = list.Values(func(v table.Value) bool {
				if !v.Open {
					at := where
					if v.Where != "" {
						at = v.Where
					}
					fault = check("", v.Text, at)
				}
				return fault == nil
			})
		}
		if err != nil {
			return err
		}
		if fault != nil {
			return fault
		}
	}
	return nil
}
