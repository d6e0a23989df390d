package pickup

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"

	"aliasmx/internal/checks"
	"aliasmx/internal/mail"
)

// wordTable has actions for patterns; "trouble" cannot be looked up.
type wordTable map[string]string

func (w wordTable) Name() string { return "test:words" }

func (w wordTable) Lookup(_ context.Context, key string) (string, bool, error) {
	if strings.Contains(key, "trouble") {
		return "", false, errors.New("away")
	}
	for pattern, action := range w {
		if regexp.MustCompile(pattern).MatchString(key) {
			return action, true, nil
		}
	}
	return "", false, nil
}

func TestChecks(t *testing.T) {
	rules := checks.New(checks.Options{Header: []checks.Table{wordTable{
		"^X-No": "REJECT 5.7.9 no", "^X-Later": "REJECT 4.7.9 later", "^X-Gone": "DISCARD", "^X-Wait": "HOLD", "^X-To": "REDIRECT b@x.example",
		"^X-Copy": "BCC b@x.example", "^X-Filter": "FILTER scan:host", "^Received": "REPLACE Received: hidden", "^X-Missing": "BCC trouble@x.example",
	}}})
	for _, tc := range []struct {
		name   string
		change func(*Options)
		body   string
		want   Reply // without the ID
		rcpts  string
		flags  mail.Flags
		ret    string
	}{
		{"nothing", nil, "X: 1\n\n", Reply{}, "r@x.example smtp:x.example", 0, ""},
		{"discarded", nil, "X-Gone: 1\n\n", Reply{}, "", 0, ""},
		{"returned", nil, "X-No: 1\n\n", Reply{}, "r@x.example error:5.7.9 no", 0, "HDRS"},
		{"refused for now", nil, "X-Later: 1\n\n", Reply{Status: ExitTempFail, Text: "later"}, "", 0, ""},
		{"table is away", nil, "X: trouble\n\n", Reply{Status: ExitTempFail, Text: "Error: queue file write error"}, "", 0, ""},
		{"hold", nil, "X-Wait: 1\n\n", Reply{}, "r@x.example smtp:x.example", mail.FlagHold, ""},
		{"redirect", nil, "X-To: 1\n\n", Reply{}, "b@x.example smtp:x.example", 0, ""},
		{"copy", nil, "X-Copy: 1\n\n", Reply{}, "r@x.example smtp:x.example, b@x.example smtp:x.example", 0, ""},
		{"filter", nil, "X-Filter: 1\n\n", Reply{}, "r@x.example scan:host", 0, ""},
		{"content_filter", func(o *Options) { o.ContentFilter = "scan:other" }, "X: 1\n\n", Reply{}, "r@x.example scan:other", 0, ""},
		{"content_filter without checks", func(o *Options) { o.ContentFilter, o.Checks = "scan:", nil }, "X: 1\n\n", Reply{}, "r@x.example scan:x.example", 0, ""},
		{"copy to nobody", func(o *Options) {
			o.Checks = checks.New(checks.Options{Header: []checks.Table{wordTable{"^X": "BCC n@virt.example", "^Rec": "REPLACE Received: hidden"}}})
		},
			"X: 1\n\n", Reply{}, "r@x.example smtp:x.example, n@virt.example error:5.1.1 User unknown in virtual alias table", 0, ""},
		{"copy that cannot be looked up", nil, "X-Missing: 1\n\n", Reply{Status: ExitTempFail, Text: "Temporary lookup failure"}, "", 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := start(t, fakeRecipients{"trouble@x.example": &mail.Status{Code: 451, Enhanced: mail.Code(4, 3, 0), Text: "Temporary lookup failure"}}, func(o *Options) {
				o.Checks = rules
				if tc.change != nil {
					tc.change(o)
				}
			})
			reply, err := f.submit(t, Request{Sender: mail.SplitAddress("s@x.example"), Rcpts: addresses("r@x.example")}, tc.body)
			if taken := reply.ID != 0; taken != (tc.want == Reply{}) {
				t.Errorf("queue ID %v", reply.ID)
			}
			reply.ID = 0
			if err != nil || reply != tc.want {
				t.Fatalf("got %+v, %v; want %+v", reply, err, tc.want)
			}
			msgs, _ := f.queue.state()
			if tc.rcpts == "" {
				if len(msgs) > 0 {
					t.Errorf("%d messages in the queue", len(msgs))
				}
				return
			}
			var rcpts []string
			env := msgs[0].env
			for _, r := range env.Rcpts {
				rcpts = append(rcpts, r.Final.String()+" "+string(r.Dest))
			}
			if got := strings.Join(rcpts, ", "); got != tc.rcpts || env.Flags&mail.FlagHold != tc.flags || env.Ret != tc.ret {
				t.Errorf("got %s, flags %b, RET %q; want %s, %b, %q", got, env.Flags, env.Ret, tc.rcpts, tc.flags, tc.ret)
			}
			if checked := strings.HasPrefix(string(env.Prepend), "Received: hidden\r\n"); checked != (tc.name != "content_filter without checks") {
				t.Errorf("above the message: %q", env.Prepend)
			}
		})
	}
}
