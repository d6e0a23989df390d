package shaping

import (
	"reflect"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Line
	}{
		{"concurrency=20", Line{SiteLimits: mail.SiteLimits{Concurrency: 20}}},
		{`concurrency=20 initial=5 delay=1s rate=100/1m slow=4.7.28 slow="too many" site=google host_connections=10`, Line{
			SiteLimits: mail.SiteLimits{Concurrency: 20, Initial: 5, RateDelay: time.Second, Rate: 100, Per: time.Minute, SlowReplies: []string{"4.7.28", "too many"}},
			Site:       "google", HostConnections: 10}},
		{"concurrency=1,initial=2 ,\t delay=500ms", Line{SiteLimits: mail.SiteLimits{Concurrency: 1, Initial: 2, RateDelay: 500 * time.Millisecond}}},
		{"delay=1m30s", Line{SiteLimits: mail.SiteLimits{RateDelay: 90 * time.Second}}},
		{"delay=3", Line{SiteLimits: mail.SiteLimits{RateDelay: 3 * time.Second}}},
		{"rate=10/s", Line{SiteLimits: mail.SiteLimits{Rate: 10, Per: time.Second}}},
		{"rate=1000/2h", Line{SiteLimits: mail.SiteLimits{Rate: 1000, Per: 2 * time.Hour}}},
		{`slow='say "no"' slow="it's" slow=4.7. slow=4. slow="[TS" slow=a=b`, Line{SiteLimits: mail.SiteLimits{SlowReplies: []string{`say "no"`, "it's", "4.7.", "4.", "[TS", "a=b"}}}},
		{"site=My_Group-1", Line{Site: "my_group-1"}},
		{"defaults concurrency=3", Line{SiteLimits: mail.SiteLimits{Concurrency: 3}, Defaults: true}},
		{`"concurrency=2"`, Line{SiteLimits: mail.SiteLimits{Concurrency: 2}}},
	} {
		got, err := Parse(c.in)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s\n got %+v, %v\nwant %+v", c.in, got, err, c.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	const known = "site, concurrency, initial, host_connections, delay, rate, slow, and defaults alone"
	for _, c := range []struct{ in, want string }{
		{"", "nothing in it; write name=value, as in concurrency=5"},
		{" , ", "nothing in it; write name=value, as in concurrency=5"},
		{"fast", `"fast" is not of the form name=value; the names are ` + known},
		{"speed=1", "speed is not known; the names are " + known},
		{"concurrency=0", "concurrency=0: not a number from 1 on; leave it out for no limit"},
		{"initial=-1", "initial=-1: not a number from 1 on; leave it out for no limit"},
		{"host_connections=99999999999", "host_connections=99999999999: not a number from 1 on; leave it out for no limit"},
		{"concurrency=1 concurrency=2", "concurrency is there twice; remove one"},
		{"delay=soon", "delay=soon: not a time; write one such as 1s or 500ms"},
		{"delay=0s", "delay=0s: not a time; write one such as 1s or 500ms"},
		{"delay=1y", "delay=1y: not a time; write one such as 1s or 500ms"},
		{"delay=", "delay=: not a time; write one such as 1s or 500ms"},
		{"delay=2000000000w", "delay=2000000000w: not a time; write one such as 1s or 500ms"},
		{"rate=100", "rate=100: not a number and a time; write them as in 100/1m"},
		{"rate=100/", "rate=100/: not a number and a time; write them as in 100/1m"},
		{"rate=0/1m", "rate=0/1m: not a number and a time; write them as in 100/1m"},
		{"slow=", "slow= without anything behind it; write a status code such as 4.7.28, or words in quotes"},
		{"slow=421", "slow=421: not an enhanced status code; write one such as 4.7.28, or its beginning up to a dot, as in 4.7."},
		{"slow=4.7", "slow=4.7: not an enhanced status code; write one such as 4.7.28, or its beginning up to a dot, as in 4.7."},
		{"slow=2.7.28", "slow=2.7.28: not an enhanced status code; write one such as 4.7.28, or its beginning up to a dot, as in 4.7."},
		{"slow=4.7.2800", "slow=4.7.2800: not an enhanced status code; write one such as 4.7.28, or its beginning up to a dot, as in 4.7."},
		{"slow=4..1", "slow=4..1: not an enhanced status code; write one such as 4.7.28, or its beginning up to a dot, as in 4.7."},
		{`slow="too many`, `a quote " is not closed`},
		{"site=a.b", "site=a.b: not a name; write letters, digits, - and _, no more than 50"},
		{"defaults=no", "defaults=no: it has no value; write defaults alone"},
	} {
		if _, err := Parse(c.in); err == nil || err.Error() != c.want {
			t.Errorf("%s\n got %v\nwant %s", c.in, err, c.want)
		}
	}
}

// What is read can be written, and is then the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"concurrency=20 initial=5 delay=1s rate=100/1m slow=4.7.28 slow=\"too many\" site=google host_connections=10",
		`slow='say "no"' slow="it's"`, "delay=1m30s,defaults", `slow="a'"'"b'`, "rate=1/90s",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := Parse(s)
		if err != nil {
			return
		}
		again, err := Parse(l.String())
		if err != nil || !reflect.DeepEqual(l, again) {
			t.Errorf("%q is %+v, written %q, and then %+v, %v", s, l, l.String(), again, err)
		}
	})
}
