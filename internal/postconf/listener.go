package postconf

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Listener is a service that accepts mail over the network: its addresses, and the
// configuration that holds for its clients.
type Listener struct {
	Service string
	// Addrs are host:port, to be bound with the network that Network names. The host is
	// an address; 0.0.0.0 and [::] are all of their family.
	Addrs  []string
	Config *Config
	// Postscreen is the configuration of the postscreen service that has the port; nil: smtpd
	// has it.
	Postscreen *Config
	// Screen is the configuration of the tests before smtpd, nil where there are none. It
	// differs from Config where master.cf has a postscreen and an "smtpd pass" service.
	Screen *Config
	// ProcessLimit is the maxproc field, in Postfix the number of clients at a time; 0
	// where it is 0 or "-".
	ProcessLimit int
	Where        string // "master.cf, line 12", or "default" without a master.cf
}

// Network is "tcp4" or "tcp6", for an element of Addrs. With "tcp" Go would take
// 0.0.0.0 for the addresses of both families.
func Network(addr string) string {
	if strings.HasPrefix(addr, "[") {
		return "tcp6"
	}
	return "tcp4"
}

// listens tells whether a service is a listener. postscreen hands its clients to smtpd.
func (s Service) listens() bool {
	return s.Type == "inet" && (s.Command == "smtpd" || s.Command == "postscreen")
}

// external tells whether the options of a service are none of Postfix's business.
func (s Service) external() bool { return s.Command == "pipe" || s.Command == "spawn" }

// forService is the configuration with a service's -o in force.
func (c *Config) forService(s Service) *Config {
	set := map[string]setting{"service_name": {s.Name, s.place()}}
	for _, o := range s.Overrides {
		set[o.Name] = setting{o.Value, s.place()}
	}
	return c.with(set)
}

// Listeners are the inet services of master.cf that run smtpd. Without a master.cf
// there is one, "smtp". A service name or an address that stands for nothing is an
// *Error.
func (c *Config) Listeners() ([]Listener, error) {
	services := c.services
	if c.noMaster {
		services = []Service{{Name: "smtp", Type: "inet", Command: "smtpd"}}
	}
	var list []Listener
	taken := make(map[string]Service)
	for _, s := range services {
		if !s.listens() {
			continue
		}
		l, err := c.listener(s)
		if err != nil {
			return nil, err
		}
		for _, addr := range l.Addrs {
			if other, ok := taken[addr]; ok {
				return nil, s.place().fail(fmt.Sprintf("services %s and %s both listen on %s", other.Name, s.Name, addr),
					"remove one of them")
			}
			taken[addr] = s
		}
		list = append(list, l)
	}
	return list, nil
}

func (c *Config) listener(s Service) (Listener, error) {
	l := Listener{Service: s.Name, Config: c, Where: "default"}
	if s.Line > 0 {
		l.Where = s.place().String()
		l.ProcessLimit, _ = strconv.Atoi(s.ProcessLimit) // "-" is 0
		l.Config = c.forService(c.serverOf(s))
		if s.Command == "postscreen" {
			l.Postscreen = c.forService(s)
		}
		if err := l.Config.checkValues(); err != nil {
			return l, err
		}
	}
	if err := c.screen(&l, s); err != nil {
		return l, err
	}
	var err error
	l.Addrs, err = c.bindAddrs(s)
	return l, err
}

// screen finds out whether clients are tested before they get to smtpd, and how: by
// postscreen_enable if that is set, and else where master.cf runs postscreen.
func (c *Config) screen(l *Listener, s Service) error {
	tests, own := l.Config, l.Postscreen != nil
	if own {
		tests = l.Postscreen
		if err := tests.checkValues(); err != nil {
			return err
		}
	}
	if tests.Bool("postscreen_enable") || own && !tests.Set("postscreen_enable") {
		l.Screen = tests
	}
	return nil
}

// serverOf is the service whose -o hold for clients: behind postscreen that is the
// "smtpd pass" service.
func (c *Config) serverOf(s Service) Service {
	if s.Command != "postscreen" {
		return s
	}
	name := c.Get("smtpd_service_name")
	for _, other := range c.services {
		if other.Type == "pass" && other.Name == name {
			return other
		}
	}
	return s
}

// bindAddrs are the addresses of a service "port" or "host:port". inet_interfaces is
// that of main.cf: in Postfix it is the master that listens, which knows no -o.
func (c *Config) bindAddrs(s Service) ([]string, error) {
	at := s.place()
	if at.file == "" {
		at.file = filepath.Join(c.dir, "master.cf")
	}
	host, name := "", s.Name
	if i := strings.LastIndexByte(s.Name, ':'); i >= 0 {
		host, name = s.Name[:i], s.Name[i+1:]
	}
	port, ok := c.port(name)
	if !ok {
		return nil, at.fail("unknown port "+shown(name)+" in service name "+shown(s.Name),
			"write a number from 1 to 65535, or a name from /etc/services")
	}
	addrs, err := c.hostAddrs(unbracket(host), at)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, a := range addrs {
		bound := net.JoinHostPort(a.String(), strconv.Itoa(port))
		if !slices.Contains(list, bound) {
			list = append(list, bound)
		}
	}
	return list, nil
}

// hostAddrs are the addresses of the host part of a service name, and for none those
// of inet_interfaces.
func (c *Config) hostAddrs(host string, at place) ([]netip.Addr, error) {
	x := c.expander()
	usable, err := c.protocols(x)
	if err != nil {
		return nil, at.fail(err.Error(), "correct inet_protocols")
	}
	if host != "" {
		return c.usableAddrs(host, usable, at)
	}
	at = c.place("inet_interfaces")
	words := c.List("inet_interfaces")
	var addrs []netip.Addr
	for _, word := range words {
		switch lower := strings.ToLower(word); lower {
		case "all", "loopback-only":
			if len(words) > 1 {
				return nil, at.fail("inet_interfaces: "+lower+" beside other addresses", "write "+lower+" alone, or addresses alone")
			}
			addrs = c.everyAddr(lower == "loopback-only", usable)
		default:
			more, err := c.usableAddrs(unbracket(word), usable, at)
			if err != nil {
				return nil, err
			}
			addrs = append(addrs, more...)
		}
	}
	return addrs, nil
}

// everyAddr stands for all addresses of the machine, or those of its loopback.
func (c *Config) everyAddr(loopback bool, usable func(netip.Addr) bool) []netip.Addr {
	all := []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	if loopback {
		all = nil
		for _, p := range c.machine.Interfaces {
			if p.Addr().IsLoopback() {
				all = append(all, p.Addr())
			}
		}
	}
	return slices.DeleteFunc(all, func(a netip.Addr) bool { return !usable(a) })
}

const hostRemedy = "write an IP address, or a name that /etc/hosts or the DNS has"

// usableAddrs are the addresses of a host in the protocols that we use.
func (c *Config) usableAddrs(host string, usable func(netip.Addr) bool, at place) ([]netip.Addr, error) {
	addrs, err := c.machine.host(host)
	if err != nil {
		return nil, at.fail("host not found: "+shown(host), hostRemedy)
	}
	addrs = slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return !usable(a) })
	if len(addrs) == 0 {
		return nil, at.fail(shown(host)+" has no address of a protocol in use",
			"add its protocol to inet_protocols, or remove the address")
	}
	return addrs, nil
}

// port is a port number, or one of known_tcp_ports or of /etc/services.
func (c *Config) port(name string) (int, bool) {
	if allDigits(name) {
		n, err := strconv.Atoi(name)
		return n, err == nil && n >= 1 && n <= 65535
	}
	for _, known := range c.List("known_tcp_ports") {
		names := strings.Split(known, "=")
		number := names[len(names)-1]
		if slices.Contains(names[:len(names)-1], name) && allDigits(number) {
			return c.port(number)
		}
	}
	number, ok := c.machine.services()[name]
	return number, ok
}
