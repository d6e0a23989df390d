package world

import (
	"bytes"
	"context"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"

	"aliasmx/internal/mail"
)

// ledger is what everybody outside of the server knows: what clients were told, what next
// hops have got, what was logged, when the power failed.
type ledger struct {
	w *world

	mu       sync.Mutex // guards what follows
	messages map[string]*message
	receipts []*receipt
	notices  []notice
	attempts map[string][]time.Time // by hop and token: MAIL
	events   []logEvent
	stops    []time.Time // power cuts and stops of the server, begin
	starts   []time.Time
	deleted  map[string]deletion // by queue ID
	held     map[string]bool     // by queue ID: ever on hold
	forced   map[string]bool     // by queue ID: forced to expire
	flushes  []time.Time         // an operator made something due
}

// message is a message as a client has sent it.
type message struct {
	token   string
	sender  string // "": the null reverse-path
	finals  []final
	content []byte
	status  submission
	id      string // queue ID, when accepted
	at      time.Time
	loop    bool
}

// final is a recipient after expansion.
type final struct {
	addr   string
	notify string // NOTIFY, as given
}

// submission is what a client was told.
type submission uint8

const (
	refused submission = iota
	accepted
	unknown // nothing: the dot was sent
	aborted // the dot was never sent
)

// tells: the failure of this recipient is to be reported.
func (m *message) tells(f final) bool {
	return m.sender != "" && (f.notify == "" || strings.Contains(f.notify, "FAILURE"))
}

// receipt is a message that a hop has kept for a recipient.
type receipt struct {
	at    time.Time
	token string
	rcpt  string
	id    string // of the queue
	sure  time.Time
}

// notice is a report about a recipient that a sender has got.
type notice struct {
	at     time.Time
	id     string // Message-Id
	token  string
	rcpt   string
	action string
}

type deletion struct {
	at   time.Time
	sure bool // the operator was told so
}

// logEvent is a record of the log.
type logEvent struct {
	at                                                              time.Time
	run                                                             int
	level                                                           slog.Level
	name, daemon, id, to, status, reason, relay, new, kind, message string
	delay, before, active                                           time.Duration // total, and until the attempt began
}

func newLedger(w *world) *ledger {
	return &ledger{
		w: w, messages: map[string]*message{}, attempts: map[string][]time.Time{},
		deleted: map[string]deletion{}, held: map[string]bool{}, forced: map[string]bool{},
	}
}

func (l *ledger) set(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

func (l *ledger) attempted(host, token string) {
	if token != "" {
		l.set(func() { l.attempts[host+" "+token] = append(l.attempts[host+" "+token], time.Now()) })
	}
}

func (l *ledger) confirm(r *receipt) { l.set(func() { r.sure = time.Now() }) }

var (
	receivedID = regexp.MustCompile(`(?s)^Received: .*?\bid (\w{12})\b`)
	noteFields = regexp.MustCompile(`Final-Recipient: rfc822; ?(\S+)\r\n(?:Original-Recipient: .*\r\n(?:[ \t].*\r\n)*)?Action: (\S+)\r\n`)
	messageIDs = regexp.MustCompile(`(?m)^Message-Id: <(\S+)>\r$`)
)

// worldMark is the header field that every message of a client begins with.
const worldMark = "X-World: "

func tokenIn(content []byte) (token string, from int) {
	from = bytes.Index(content, []byte(worldMark))
	if from < 0 {
		return "", -1
	}
	line, _, _ := bytes.Cut(content[from+len(worldMark):], []byte("\r\n"))
	return string(line), from
}

// received notes what a hop has kept.
func (l *ledger) received(c *call, rcpts []string, content []byte) []*receipt {
	header, _, _ := bytes.Cut(content, []byte("\r\n\r\n"))
	if !bytes.Contains(header, []byte(worldMark)) {
		l.report(c, rcpts, content)
		return nil
	}
	token, from := tokenIn(content)
	id := receivedID.FindSubmatch(content)
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.messages[token]
	if m == nil || id == nil {
		l.w.fault("%s got a message of nobody: %.300s", c.h.name, content)
		return nil
	}
	if !bytes.Equal(content[from:], m.content) {
		l.w.fault("%s got another message than %s: %d bytes, sent were %d", c.h.name, token, len(content)-from, len(m.content))
	}
	if c.sender != m.sender {
		l.w.fault("%s got %s from <%s>, sent by <%s>", c.h.name, token, c.sender, m.sender)
	}
	var kept []*receipt
	for _, rcpt := range rcpts {
		r := &receipt{at: time.Now(), token: token, rcpt: rcpt, id: string(id[1])}
		kept = append(kept, r)
		l.receipts = append(l.receipts, r)
	}
	return kept
}

// report notes a report that a sender has got.
func (l *ledger) report(c *call, rcpts []string, content []byte) {
	id := messageIDs.FindSubmatch(content)
	token, _ := tokenIn(content)
	fields := noteFields.FindAllSubmatch(content, -1)
	if c.sender != "" || id == nil || token == "" || len(fields) == 0 || !bytes.Contains(content, []byte("report-type=delivery-status")) {
		l.w.fault("%s got what is neither message nor report, from <%s>: %.2000s", c.h.name, c.sender, content)
		return
	}
	if local, _, _ := strings.Cut(rcpts[0], "@"); len(rcpts) != 1 || local != token {
		l.w.fault("a report about %s went to %v", token, rcpts)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range fields {
		l.notices = append(l.notices, notice{time.Now(), string(id[1]), token, string(f[1]), string(f[2])})
	}
}

// logbook is the log as the ledger gets it.
type logbook struct {
	l      *ledger
	run    *run
	next   slog.Handler // the mail log
	preset []slog.Attr
}

// Enabled implements slog.Handler.
func (b *logbook) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs implements slog.Handler.
func (b *logbook) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *b
	c.preset = append(append([]slog.Attr(nil), b.preset...), attrs...)
	c.next = b.next.WithAttrs(attrs)
	return &c
}

// WithGroup implements slog.Handler.
func (b *logbook) WithGroup(string) slog.Handler { return b }

// Handle implements slog.Handler.
func (b *logbook) Handle(ctx context.Context, r slog.Record) error {
	if b.run.line.isDead() {
		return nil
	}
	e := logEvent{at: time.Now(), run: b.run.number, level: r.Level, name: r.Message}
	note := func(a slog.Attr) bool {
		v := a.Value.Resolve()
		switch a.Key {
		case mail.KeyDaemon:
			e.daemon = v.String()
		case mail.KeyQueueID:
			e.id = v.String()
		case mail.KeyTo:
			e.to = v.String()
		case mail.KeyStatus:
			e.status = v.String()
		case mail.KeyReason:
			e.reason = v.String()
		case mail.KeyRelay:
			e.relay = v.String()
		case mail.KeyNewID:
			e.new = v.String()
		case mail.KeyKind:
			e.kind = v.String()
		case mail.KeyMessage:
			e.message = v.String()
		case mail.KeyDelay:
			e.delay = v.Duration()
		case mail.KeyDelays:
			if d, ok := v.Any().([4]time.Duration); ok {
				e.before, e.active = d[0], d[1]
			}
		}
		return true
	}
	for _, a := range b.preset {
		note(a)
	}
	r.Attrs(note)
	b.l.set(func() { b.l.events = append(b.l.events, e) })
	return b.next.Handle(ctx, r)
}
