package main

import (
	"testing"

	"aliasmx/internal/postconf"
)

func TestProvePorts(t *testing.T) {
	for _, c := range []struct {
		listeners []string
		sts       []string
		want      string
	}{
		{[]string{"192.0.2.1:25", "192.0.2.2:25", "[2001:db8::1]:25", "192.0.2.1:587"}, []string{"192.0.2.1:443"}, ""},
		{[]string{"0.0.0.0:25", "[::]:25"}, []string{"0.0.0.0:443", "[::]:443"}, ""},
		{[]string{"0.0.0.0:25"}, []string{"[::1]:25"}, ""},
		{[]string{"127.0.0.1:25", "127.0.0.1:25"}, []string{"127.0.0.1:443", "127.0.0.1:443"}, ""},
		{[]string{"127.0.0.1:25"}, []string{"127.0.0.1:25"},
			"mta_sts_listen (default): cannot listen on 127.0.0.1:25: 127.0.0.1:25 (master.cf, line 1) takes its port; choose another, or remove one"},
		{[]string{"[::]:25"}, []string{"[::1]:25"},
			"mta_sts_listen (default): cannot listen on [::1]:25: [::]:25 (master.cf, line 1) takes its port; choose another, or remove one"},
		{nil, []string{"192.0.2.1:443", "0.0.0.0:443"},
			"mta_sts_listen (default): cannot listen on 0.0.0.0:443: 192.0.2.1:443 (mta_sts_listen (default)) takes its port; choose another, or remove one"},
		{[]string{"0.0.0.0:25", "127.0.0.1:25"}, nil,
			"master.cf, line 1: cannot listen on 127.0.0.1:25: 0.0.0.0:25 (master.cf, line 1) takes its port; choose another, or remove one"},
	} {
		v := &view{cfg: &postconf.Config{}, listeners: []listenerView{{where: "master.cf, line 1", addrs: c.listeners}}}
		if c.sts != nil {
			v.sts = &stsView{addrs: c.sts}
		}
		got := ""
		if err := v.provePorts(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%v, %v: got %q, want %q", c.listeners, c.sts, got, c.want)
		}
	}
}
