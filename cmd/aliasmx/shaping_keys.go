package main

import (
	"errors"
	"net/netip"
	"strings"

	"aliasmx/internal/shaping"
)

// checkShapingKey finds a key that nothing is looked up by: its line would limit nobody.
// Looked up are names and addresses as they stand in a next hop, without brackets, port
// and last dot, and domains with a dot in front.
func checkShapingKey(key string) error {
	never := func(instead string) error {
		text := "no destination is looked up by this key; write the name or address of a host or a domain, without brackets and port"
		if instead != "" && instead != key && checkShapingKey(instead) == nil {
			text += ": " + instead
		}
		return errors.New(text)
	}
	if addr, err := netip.ParseAddr(key); err == nil {
		if addr.Unmap().String() != key {
			return never(addr.Unmap().String())
		}
		return nil
	}
	instead := key
	if i := strings.LastIndexByte(instead, ':'); strings.HasPrefix(instead, "[") {
		instead, _, _ = strings.Cut(instead[1:], "]")
		if len(instead) > 5 && strings.EqualFold(instead[:5], "ipv6:") {
			instead = instead[5:]
		}
		if addr, err := netip.ParseAddr(instead); err == nil {
			instead = addr.Unmap().String()
		}
		return never(instead)
	} else if i >= 0 {
		return never(strings.TrimSuffix(instead[:i], "."))
	}
	if at := strings.LastIndexByte(instead, '@'); at >= 0 {
		return never(instead[at+1:])
	}
	if rest, ok := strings.CutPrefix(instead, "*."); ok {
		return never("." + rest)
	}
	if strings.HasSuffix(instead, ".") {
		return never(strings.TrimRight(instead, "."))
	}
	name := strings.TrimPrefix(key, ".")
	if name == "" || strings.Contains(name, "..") || strings.HasPrefix(name, ".") || strings.ContainsAny(name, "[]*/\" \t") {
		return never("")
	}
	return nil
}

// checkShapingLine is what can be wrong with an entry.
func checkShapingLine(key, line string) error {
	if _, err := shaping.Parse(line); err != nil {
		return err
	}
	return checkShapingKey(key)
}
