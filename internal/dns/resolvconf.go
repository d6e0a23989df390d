package dns

import (
	"bufio"
	"bytes"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The files of the system's resolver. They are read again when they change: addresses
// of name servers come and go with networks, while a mail system runs for months.

const checkFileEvery = 5 * time.Second

// watched is a file whose content is parsed again when it has changed.
type watched[T any] struct {
	path  string
	now   func() time.Time
	parse func([]byte) T

	mu      sync.Mutex // guards what follows
	value   T
	checked time.Time
	changed time.Time
	size    int64
}

func (w *watched[T]) get() T {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	if !w.checked.IsZero() && now.Sub(w.checked) < checkFileEvery {
		return w.value
	}
	first := w.checked.IsZero()
	w.checked = now
	fi, err := os.Stat(w.path)
	if err == nil && !first && fi.ModTime().Equal(w.changed) && fi.Size() == w.size {
		return w.value
	}
	text, err := os.ReadFile(w.path)
	if err != nil && !first {
		return w.value // it is being replaced
	}
	if fi != nil {
		w.changed, w.size = fi.ModTime(), fi.Size()
	}
	w.value = w.parse(text)
	return w.value
}

// conf is resolv.conf(5), as far as it concerns us.
type conf struct {
	servers  []string
	search   []string
	ndots    int
	timeout  time.Duration
	attempts int
	rotate   bool
	trustAD  bool // what the servers say of authenticity is to be believed
	useTCP   bool // always
}

type confFile = watched[conf]

func newConfFile(path string, now func() time.Time) *confFile {
	return &confFile{path: path, now: now, parse: parseConf}
}

func parseConf(text []byte) conf {
	c := conf{ndots: 1, timeout: 5 * time.Second, attempts: 2}
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		f := strings.Fields(s.Text())
		if len(f) < 2 || f[0][0] == '#' || f[0][0] == ';' {
			continue
		}
		switch f[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(f[1]); err == nil && len(c.servers) < 3 {
				c.servers = append(c.servers, net.JoinHostPort(a.String(), "53"))
			}
		case "search", "domain":
			c.search = c.search[:0]
			for _, d := range f[1:] {
				if d = strings.Trim(d, "."); d != "" {
					c.search = append(c.search, d)
				}
			}
		case "options":
			for _, o := range f[1:] {
				c.option(o)
			}
		}
	}
	if len(c.servers) == 0 {
		c.servers = []string{"127.0.0.1:53"}
	}
	return c
}

func (c *conf) option(o string) {
	switch o {
	case "rotate":
		c.rotate = true
	case "trust-ad":
		c.trustAD = true
	case "use-vc":
		c.useTCP = true
	}
	name, value, _ := strings.Cut(o, ":")
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return
	}
	switch name {
	case "ndots":
		c.ndots = min(n, 15)
	case "timeout":
		c.timeout = time.Duration(max(min(n, 30), 1)) * time.Second
	case "attempts":
		c.attempts = max(min(n, 5), 1)
	}
}
