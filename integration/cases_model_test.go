package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// postfixCase is one recording in testdata/postfix: a configuration, what clients did,
// and what Postfix 3.7.11 answered, delivered and logged. Nothing in the expected
// fields was written by hand.
type postfixCase struct {
	Name       string            `json:"name"`
	About      string            `json:"about"`
	MainCF     map[string]string `json:"main_cf"`
	Files      map[string]string `json:"files"`
	Sink       *recordedSink     `json:"sink"`
	Sessions   []recordedSession `json:"sessions"`
	Postmap    []recordedCommand `json:"postmap"`
	Deliveries []delivered       `json:"deliveries"`
	Bounces    []bounced         `json:"bounces"`
	Messages   []arrived         `json:"messages"`
	Queue      []queued          `json:"queue"`
	Log        []string          `json:"log"`
}

// recordedSink is how the next server answers; empty fields are the friendly default.
type recordedSink struct {
	Banner    string            `json:"banner"`
	Ehlo      []string          `json:"ehlo"`
	Mail      map[string]string `json:"mail"`
	Rcpt      map[string]string `json:"rcpt"`
	EndOfData string            `json:"end_of_data"`
	Data      string            `json:"data"` // of cases in testdata/beside only, as is Drop
	Drop      string            `json:"drop"` // hang up at this command, or at "." or "banner"
}

// recordedSession is one thing that is done to the server: a plain SMTP session, a
// scripted one, a run of sendmail, or a pause, a flush, a changed table.
type recordedSession struct {
	Client     string         `json:"client"`
	Verb       string         `json:"verb"`
	Helo       string         `json:"helo"`
	MailFrom   string         `json:"mail_from"`
	MailParams string         `json:"mail_params"`
	RcptTo     []recordedRcpt `json:"rcpt_to"`
	Data       *string        `json:"data"`
	Steps      []recordedStep `json:"steps"`
	Replies    []reply        `json:"replies"`
	// Of cases in testdata/beside only: what is said before the greeting, as a proxy does,
	// that the client leaves before it, and that the connection begins with TLS.
	Hello   string `json:"hello"`
	Leave   bool   `json:"leave"`
	Wrapped bool   `json:"wrapped"`
	Others  int    `json:"others"` // so many connections are open already

	Sendmail []string         `json:"sendmail"`
	Stdin    string           `json:"stdin"`
	Result   *recordedCommand `json:"result"`

	Sleep       int               `json:"sleep"`
	Flush       bool              `json:"flush"`
	RewriteFile map[string]string `json:"rewrite_file"`
}

// recordedRcpt is an address, or an address with parameters.
type recordedRcpt struct {
	Addr   string `json:"addr"`
	Params string `json:"params"`
}

func (r *recordedRcpt) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &r.Addr)
	}
	type plain recordedRcpt
	return json.Unmarshal(b, (*plain)(r))
}

// recordedStep is a line to send, a message, or bytes to send as they stand.
type recordedStep struct {
	Line   *string
	Data   *string `json:"data"`
	Send   *string `json:"send"`
	Expect *int    `json:"expect"`
	// Of cases in testdata/beside only: a pause in seconds, and a TLS handshake.
	Pause float64 `json:"pause"`
	TLS   bool    `json:"tls"`
}

func (s *recordedStep) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &s.Line)
	}
	type plain recordedStep
	return json.Unmarshal(b, (*plain)(s))
}

// recordedCommand is a command and what it printed.
type recordedCommand struct {
	Cmd    string   `json:"cmd"`
	Stdin  string   `json:"stdin,omitempty"`
	Exit   int      `json:"exit"`
	Output []string `json:"output"`
}

// reply is one reply to a client. A code of 0 stands for null: no reply came.
type reply struct {
	Cmd      string `json:"cmd"`
	Code     int    `json:"code"`
	Enhanced string `json:"enhanced"`
	Text     string `json:"text"`
}

func (r reply) String() string {
	return fmt.Sprintf("%s -> %d %s %s", r.Cmd, r.Code, r.Enhanced, strings.ReplaceAll(r.Text, "\n", `\n`))
}

// delivered is one status= line of the log.
type delivered struct {
	Session  int    `json:"session"`
	QueueID  string `json:"queue_id"`
	Notice   bool   `json:"notice"`
	MailFrom string `json:"mail_from"`
	RcptTo   string `json:"rcpt_to"`
	OrigTo   string `json:"orig_to"`
	Agent    string `json:"agent"`
	Relay    string `json:"relay"`
	DSN      string `json:"dsn"`
	Status   string `json:"status"`
	Reason   string `json:"reason"`
}

// arrived is one transaction at the next server.
type arrived struct {
	Session  int      `json:"session"`
	QueueID  string   `json:"queue_id"`
	MailFrom string   `json:"mail_from"`
	RcptTo   []string `json:"rcpt_to"`
	Data     string   `json:"data"`
}

// bounced is one recipient in a delivery status notification.
type bounced struct {
	Session    int    `json:"session"`
	To         string `json:"to"`
	Recipient  string `json:"recipient"`
	Original   string `json:"original_recipient"`
	Action     string `json:"action"`
	DSN        string `json:"dsn"`
	RemoteMTA  string `json:"remote_mta"`
	Diagnostic string `json:"diagnostic"`
}

// queued is one message that stayed, as postqueue -j shows it.
type queued struct {
	QueueName  string       `json:"queue_name"`
	QueueID    string       `json:"queue_id"`
	Sender     string       `json:"sender"`
	Recipients []queuedRcpt `json:"recipients"`
}

type queuedRcpt struct {
	Address     string `json:"address"`
	DelayReason string `json:"delay_reason"`
}

func loadCases(dir string) ([]postfixCase, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var cases []postfixCase
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var c postfixCase
		if err := json.Unmarshal(text, &c); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		cases = append(cases, c)
	}
	return cases, nil
}

// exception is why a case does not come out as recorded, and in what. One on purpose
// has the rule of docs/differences.md that it shows.
type exception struct{ kinds, reason, rule string }

// loadNotYet reads the cases that are known to differ. Each line of the file is
// "case-name kinds reason", kinds being what differs, sorted, with commas; # begins a
// comment, and "# on purpose" the cases whose reason is "rule" or "rule: more".
func loadNotYet(file string) (map[string]exception, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	list := map[string]exception{}
	onPurpose := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			onPurpose = strings.HasPrefix(line, "# on purpose")
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 3 {
			return nil, fmt.Errorf("%s: %q: want case-name, kinds, reason", file, line)
		}
		if _, twice := list[fields[0]]; twice {
			return nil, fmt.Errorf("%s: %s is listed twice", file, fields[0])
		}
		e := exception{kinds: fields[1], reason: strings.Join(fields[2:], " ")}
		if onPurpose {
			e.rule, _, _ = strings.Cut(e.reason, ": ")
		}
		list[fields[0]] = e
	}
	return list, nil
}
