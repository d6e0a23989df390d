package sqltable

import (
	"net"
	"strconv"
	"strings"

	"aliasmx/internal/table/dbtable"
)

// Hosts of pgsql_table(5) and mysql_table(5): unix:/path, inet:host:port, host:port,
// host; for PostgreSQL also /path and URIs.

const (
	pgsqlPort = "5432"
	mysqlPort = "3306"

	// Where Debian's servers and most others have their socket.
	pgsqlSocketDir = "/var/run/postgresql"
	mysqlSocket    = "/run/mysqld/mysqld.sock"
)

// pgsqlHosts is what "hosts" names; localhost when it is empty.
func pgsqlHosts(c *dbtable.Config) (hosts []dbtable.Host) {
	for _, word := range hostList(c) {
		name := strings.TrimPrefix(strings.TrimPrefix(word, "unix:"), "inet:")
		switch {
		case strings.HasPrefix(word, "postgresql://"), strings.HasPrefix(word, "postgres://"):
			hosts = append(hosts, dbtable.Host{Name: uriHost(word), Network: "tcp", URI: word})
		case strings.Contains(word, "://"):
			c.Fail("hosts", "a connection URI begins with postgresql://")
		case name == "":
			hosts = append(hosts, dbtable.Host{Name: pgsqlSocketDir, Network: "unix", Address: pgsqlSocketDir})
		case name[0] == '/':
			hosts = append(hosts, dbtable.Host{Name: word, Network: "unix", Address: name})
		default:
			hosts = append(hosts, dbtable.Host{Name: word, Network: "tcp", Address: address(c, name, pgsqlPort)})
		}
	}
	return hosts
}

// uriHost is a URI without what may be secret in it.
func uriHost(uri string) string {
	scheme, rest, _ := strings.Cut(uri, "://")
	rest, _, _ = strings.Cut(rest, "?")
	rest, path, hasPath := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	if hasPath && !strings.Contains(path, "@") { // a password may hold a slash
		rest += "/" + path
	}
	return scheme + "://" + rest
}

// mysqlHosts is what "hosts" names. "localhost" means the socket, as for all MySQL clients.
func mysqlHosts(c *dbtable.Config) (hosts []dbtable.Host) {
	for _, word := range hostList(c) {
		path, isPath := strings.CutPrefix(word, "unix:")
		name := strings.TrimPrefix(word, "inet:")
		host, _, _ := strings.Cut(name, ":")
		switch {
		case isPath && path != "":
			hosts = append(hosts, dbtable.Host{Name: word, Network: "unix", Address: path})
		case isPath, strings.EqualFold(host, "localhost"):
			hosts = append(hosts, dbtable.Host{Name: word, Network: "unix", Address: mysqlSocket})
		default:
			hosts = append(hosts, dbtable.Host{Name: word, Network: "tcp", Address: address(c, name, mysqlPort)})
		}
	}
	return hosts
}

func hostList(c *dbtable.Config) []string {
	if list := c.List("hosts"); len(list) > 0 {
		return list
	}
	return []string{"localhost"}
}

// address reads host or host:port. The port is a number or the name of a service.
func address(c *dbtable.Config, s, port string) string {
	host := s
	if i := strings.LastIndexByte(s, ':'); i >= 0 && strings.LastIndexByte(s, ']') < i {
		host, port = s[:i], s[i+1:]
	}
	host = strings.Trim(host, "[]")
	n, err := net.LookupPort("tcp", port)
	switch {
	case strings.Contains(s, "@"): // it may hold a password
		c.Fail("hosts", "bad server address; need host:port")
	case host == "" || err != nil || n == 0:
		c.Fail("hosts", "bad server address %.100q; need host:port", s)
	}
	return net.JoinHostPort(host, strconv.Itoa(n))
}
