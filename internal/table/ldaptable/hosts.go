package ldaptable

import (
	"net"
	"net/url"
	"strconv"
	"strings"

	"aliasmx/internal/table/dbtable"
)

const (
	ldapPort  = 389
	ldapsPort = 636

	// ldapiSocket is where Debian's slapd listens.
	ldapiSocket = "/var/run/slapd/ldapi"

	// ldaps marks a host that speaks TLS from the start.
	ldaps = "ldaps"
)

// serverHosts reads server_host: URLs ldap:// ldaps:// ldapi://, or host:port, or host
// with server_port.
func serverHosts(c *dbtable.Config) (hosts []dbtable.Host) {
	port := c.Int("server_port", ldapPort, 1)
	words := c.List("server_host")
	if len(words) == 0 {
		words = []string{"localhost"}
	}
	for _, word := range words {
		scheme, rest, isURL := strings.Cut(word, "://")
		if isURL {
			rest, _, _ = strings.Cut(rest, "/")
			rest, _, _ = strings.Cut(rest, "?")
		} else {
			scheme, rest = "ldap", word
		}
		h := dbtable.Host{Name: word, Network: "tcp"}
		ok := true
		switch strings.ToLower(scheme) {
		case "ldapi":
			h.Network = "unix"
			var err error
			h.Address, err = url.PathUnescape(rest)
			ok = err == nil
			if h.Address == "" {
				h.Address = ldapiSocket
			}
		case "ldaps":
			h.URI = ldaps
			h.Address, ok = address(rest, ldapsPort)
		case "ldap":
			if isURL {
				h.Address, ok = address(rest, ldapPort)
			} else {
				h.Address, ok = address(rest, port)
			}
		default:
			ok = false
		}
		if !ok {
			c.Fail("server_host", "bad server %.100q; need ldap://host:port, ldaps://host:port, ldapi://%%2Fpath%%2Fof%%2Fsocket, or host:port", word)
		}
		hosts = append(hosts, h)
	}
	return hosts
}

func address(s string, port int) (string, bool) {
	host, service := s, strconv.Itoa(port)
	if i := strings.LastIndexByte(s, ':'); i >= 0 && strings.LastIndexByte(s, ']') < i {
		host, service = s[:i], s[i+1:]
	}
	if host == "" {
		host = "localhost"
	}
	n, err := net.LookupPort("tcp", service)
	return net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(n)), err == nil && n > 0
}
