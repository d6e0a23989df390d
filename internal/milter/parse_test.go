package milter

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"
)

func settings() Settings {
	return Settings{
		ConnectTimeout: time.Second, CommandTimeout: 2 * time.Second, ContentTimeout: 3 * time.Second,
		Protocol: Protocol{Version: 6}, QueueDirectory: "/queue", Duration: time.ParseDuration,
	}
}

func TestParse(t *testing.T) {
	for _, tt := range []struct{ in, want, err string }{
		{"", "", ""},
		{"inet:localhost:8891", "tcp localhost:8891 1s 2s 3s 6 0", ""},
		{"inet:[::1]:8891, unix:/run/x", "tcp [::1]:8891 1s 2s 3s 6 0; unix /run/x 1s 2s 3s 6 0", ""},
		{"unix:run/x local:y", "unix /queue/run/x 1s 2s 3s 6 0; unix /queue/y 1s 2s 3s 6 0", ""},
		{"{ inet:h:1, connect_timeout=10s, default_action=accept } inet:h:2", "tcp h:1 10s 2s 3s 6 1; tcp h:2 1s 2s 3s 6 0", ""},
		{"{inet:h:1 command_timeout=5s content_timeout=6s protocol=4 { default_action = Quarantine }}", "tcp h:1 1s 5s 6s 4 3", ""},
		{"localhost:8891", "", "invalid transport name: localhost in Milter service: localhost:8891; there are inet and unix"},
		{"inet", "", `Milter service needs transport:endpoint instead of "inet"`},
		{"inet:8891", "", "bad endpoint in Milter service inet:8891: need inet:host:port"},
		{"{}", "", `empty milter definition: "{}"`},
		{"{ inet:h:1", "", `missing '}' in "{ inet:h:1"`},
		{"inet:h:1 }", "", `missing '{' in "inet:h:1 }"`},
		{"{ inet:h:1, timeout=1s }", "", `inet:h:1: unknown attribute name "timeout"; there are connect_timeout, command_timeout, content_timeout, protocol and default_action`},
		{"{ inet:h:1, default_action }", "", `inet:h:1: missing '=' after attribute name or missing value: "default_action"`},
		{"{ inet:h:1, default_action=drop }", "", `inet:h:1: default_action: "drop" is not one of accept, reject, tempfail, quarantine, shutdown`},
		{"{ inet:h:1, protocol=5 }", "", `inet:h:1: protocol: bad protocol information: "5"; give one of 2, 3, 4 and 6`},
		{"{ inet:h:1, connect_timeout=0s }", "", "inet:h:1: connect_timeout: a time limit must be more than nothing"},
	} {
		list, err := Parse(tt.in, settings())
		var got []string
		for _, m := range list {
			got = append(got, fmt.Sprintln(m.Network, m.Address, m.ConnectTimeout, m.CommandTimeout, m.ContentTimeout, m.Protocol.Version, m.DefaultAction))
		}
		if text := strings.ReplaceAll(strings.TrimSuffix(strings.Join(got, ""), "\n"), "\n", "; "); text != tt.want || errorText(err) != tt.err {
			t.Errorf("%s:\n got %s (%v)\nwant %s (%s)", tt.in, text, err, tt.want, tt.err)
		}
	}
}

func TestParseProtocol(t *testing.T) {
	for in, want := range map[string]Protocol{"6": {6, false}, "2": {2, false}, "4, no_header_reply": {4, true}, "no_header_reply 3": {3, true}} {
		if got, err := ParseProtocol(in); err != nil || got != want {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "5", "6 4", "no_header_reply", "six"} {
		if got, err := ParseProtocol(in); err == nil {
			t.Errorf("%s: %+v", in, got)
		}
	}
}

func TestMacros(t *testing.T) {
	defaults, err := ParseMacroDefaults("a=1, {b}=2 { c = 3 4 } a=5 {{d} = 6}")
	if want := map[string]string{"a": "1", "b": "2", "c": "3 4", "d": "6"}; err != nil || !maps.Equal(defaults, want) {
		t.Errorf("%v, %v", defaults, err)
	}
	for _, in := range []string{"a", "=1", "{a=1"} {
		if got, err := ParseMacroDefaults(in); err == nil {
			t.Errorf("%s: %v", in, got)
		}
	}
	c := &Config{MyHostname: "h", DaemonName: "d", Version: "v", MacroDefaults: defaults}
	known := func(name string) (string, bool) { return "x", name == "i" }
	if got := strconv.Quote(string(c.expand([]string{"j", "{daemon_name}", "v", "i", "{i}", "b", "{nothing}"}, known))); got != `"j\x00h\x00{daemon_name}\x00d\x00v\x00v\x00i\x00x\x00{i}\x00x\x00b\x002\x00"` {
		t.Error(got)
	}
}
