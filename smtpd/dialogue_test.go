package smtpd

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/checks"
	"aliasmx/internal/wire"
)

// Dialogues as data: testdata/*.txt. A file is one server and one or more connections:
//
//	# what it shows
//	smtpd_helo_required = yes     configuration, by Postfix's names
//	== 127.0.0.2                  a connection from there; "== local" is sendmail -bs
//	C: EHLO x                     a line from the client
//	R: "BDAT 3\r\nabc"            bytes from the client, as a Go string
//	S: 250 2.1.0 Ok               a line of a reply, exactly
//	~: 250-                       the beginning of a line
//	W: 5m                         time passes
//	X:                            the server has closed
//	-- queue                      what was taken: "sender -> target, target"
//	-- log                        lines of the log, as Postfix's; dates and numbers as they are
//
// A greeting that is not asked for is 220. The client hangs up at the end.
func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dialogues: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) { playDialogue(t, string(text)) })
		})
	}
}

func playDialogue(t *testing.T, text string) {
	w := usual(t)
	var c *client
	finish := func() {
		if c != nil {
			synctest.Wait()
			c.hangUp()
			w.conns.Wait()
		}
	}
	section := "config"
	var queue, log []string
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if client, ok := strings.CutPrefix(line, "== "); ok {
			if section == "config" {
				w.start()
			}
			finish()
			section = "dialogue"
			if client == "local" {
				c = w.dialAs(Peer{Local: true, UID: 1000})
			} else {
				c = w.dial(client)
			}
			continue
		}
		if name, ok := strings.CutPrefix(line, "-- "); ok {
			if section == "dialogue" {
				finish()
			}
			section = name
			continue
		}
		switch section {
		case "config":
			name, value, _ := strings.Cut(line, " = ")
			setOption(t, w, name, value)
		case "queue":
			queue = append(queue, line)
		case "log":
			log = append(log, line)
		default:
			c.play(t, number, line)
		}
	}
	if section == "dialogue" {
		finish()
	}
	compareLists(t, "queue", w.store.summary(), queue, section != "dialogue")
	if log != nil {
		ids := &numbering{}
		var got []string
		for _, l := range w.log.all() {
			got = append(got, strings.TrimPrefix(ids.normal(l), "postfix/smtpd[PID]: "))
		}
		compareLists(t, "log", got, log, true)
	}
}

// play carries out one line of a dialogue.
func (c *client) play(t *testing.T, number int, line string) {
	kind, rest := line[:2], strings.TrimPrefix(line[2:], " ")
	switch kind {
	case "C:":
		c.send(rest + "\r\n")
	case "R:":
		for part := range strings.SplitSeq(rest, " + ") {
			part, times, _ := strings.Cut(part, " * ")
			raw, err := strconv.Unquote(part)
			if err != nil {
				t.Fatalf("line %d: %v", number, err)
			}
			n, _ := strconv.Atoi(times)
			c.send(strings.Repeat(raw, max(n, 1)))
		}
	case "S:", "~:":
		got, err := c.r.ReadString('\n')
		got = strings.TrimSuffix(got, "\r\n")
		if err != nil || got != rest && (kind == "S:" || !strings.HasPrefix(got, rest)) {
			t.Fatalf("line %d: %q, %v; want %q", number, got, err, rest)
		}
	case "W:":
		d, err := time.ParseDuration(rest)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		<-time.After(d)
	case "X:":
		if got, err := c.r.ReadString('\n'); err == nil {
			t.Fatalf("line %d: %q, want the end of the connection", number, got)
		}
	default:
		t.Fatalf("line %d: %q is no line of a dialogue", number, line)
	}
}

func compareLists(t *testing.T, what string, got, want []string, compare bool) {
	if compare && !slices.Equal(got, want) {
		t.Errorf("%s:\n got %s\nwant %s", what, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

// summary is a line for each message.
func (s *store) summary() []string {
	var list []string
	for _, m := range s.messages {
		var rcpts []string
		for i := range m.env.Rcpts {
			rcpts = append(rcpts, m.env.Rcpts[i].Final.String()+at(string(m.env.Rcpts[i].Dest)))
		}
		list = append(list, "<"+m.env.Sender.String()+"> -> "+strings.Join(rcpts, ", ")+": "+strconv.Quote(m.body))
	}
	return list
}

// at shows a destination that is no usual one.
func at(dest string) string {
	if strings.HasPrefix(dest, "smtp:") {
		return ""
	}
	return " [" + dest + "]"
}

// setOption sets what a line of main.cf sets.
func setOption(t *testing.T, w *world, name, value string) {
	o, yes := &w.o, value == "yes"
	b := o.Recipients.(*book)
	n, _ := strconv.Atoi(value)
	list := func() []Restriction { return restrict(strings.Split(value, ", ")...) }
	duration := func() time.Duration { d, _ := time.ParseDuration(value); return d }
	switch name {
	case "header_checks", "body_checks": // pattern=action, ...
		t := patterns{}
		for rule := range strings.SplitSeq(value, ", ") {
			pattern, action, _ := strings.Cut(rule, "=")
			t = append(t, [2]string{pattern, action})
		}
		if name == "body_checks" {
			w.checks.Body = []checks.Table{t}
		} else {
			w.checks.Header, w.checks.MIME = []checks.Table{t}, []checks.Table{t}
		}
		o.Checks = checks.New(w.checks)
	case "content_filter":
		o.ContentFilter = value
	case "hopcount_limit":
		o.HopcountLimit = n
	case "smtpd_helo_required":
		o.HeloRequired = yes
	case "smtpd_delay_reject":
		o.DelayReject = yes
	case "strict_rfc821_envelopes":
		o.StrictEnvelopes = yes
	case "soft_bounce":
		o.SoftBounce = yes
	case "strict_smtputf8":
		o.StrictSMTPUTF8 = yes
	case "smtputf8_enable":
		o.SMTPUTF8Enable = yes
	case "disable_vrfy_command":
		o.DisableVRFY = yes
	case "smtpd_forbid_unauth_pipelining":
		o.ForbidUnauthPipelining = yes
	case "smtpd_forbid_bare_newline":
		o.ForbidBareNewline = map[string]wire.BareLF{"normalize": wire.BareLFNormalize, "reject": wire.BareLFReject, "no": wire.BareLFAllow}[value]
	case "smtpd_client_restrictions":
		o.Client = list()
	case "smtpd_helo_restrictions":
		o.Helo = list()
	case "smtpd_sender_restrictions":
		o.Sender = list()
	case "smtpd_relay_restrictions":
		o.Relay = nil
		if value != "" {
			o.Relay = list()
		}
	case "smtpd_recipient_restrictions":
		o.Recipient = list()
	case "smtpd_data_restrictions":
		o.Data = list()
	case "smtpd_end_of_data_restrictions":
		o.EndOfData = list()
	case "message_size_limit":
		o.MessageSizeLimit = int64(n)
	case "line_length_limit":
		o.LineLengthLimit = n
	case "smtpd_recipient_limit":
		o.RecipientLimit = n
	case "smtpd_recipient_overshoot_limit":
		o.OvershootLimit = n
	case "smtpd_soft_error_limit":
		o.SoftErrorLimit = n
	case "smtpd_hard_error_limit":
		o.HardErrorLimit = n
	case "smtpd_error_sleep_time":
		o.ErrorSleep = duration()
	case "smtpd_discard_ehlo_keywords":
		o.DiscardEhloKeywords = strings.Fields(value)
	case "smtpd_junk_command_limit":
		o.JunkCommandLimit = n
	case "smtpd_timeout":
		o.Timeout = duration()
	case "smtpd_min_data_rate":
		o.MinDataRate = n
	case "anvil_status_update_time":
		o.StatusUpdateTime = duration()
	case "smtpd_per_request_deadline":
		o.PerRequestDeadline = yes
	case "smtpd_client_port_logging":
		o.ClientPortLogging = yes
	case "smtpd_hide_client_session":
		o.HideClientSession = yes
	case "smtpd_forbid_bare_newline_reject_code":
		o.BareNewlineRejectCode = n
	case "smtpd_forbid_bare_newline_exclusions":
		o.BareNewlineExclusions = networks{netip.MustParseAddr(value)}
	case "smtpd_noop_commands":
		o.NoopCommands = words(strings.Fields(value))
	case "smtpd_command_filter":
		o.CommandFilter = lines(value)
	case "smtpd_reject_filter_maps":
		o.RejectFilterMaps = []Table{lines(value)}
	case "smtpd_discard_ehlo_keyword_address_maps":
		o.DiscardEhloKeywordMaps = []Table{lines(value)}
	case "smtpd_upstream_proxy_hosts":
		o.Upstream = &Upstream{Hosts: networks{netip.MustParseAddr(value)}}
	case "smtpd_data_memory_limit":
		o.DataMemoryLimit = int64(n)
	case "smtpd_client_connection_rate_limit":
		o.ClientConnectionRate = n
	case "smtpd_client_message_rate_limit":
		o.ClientMessageRate = n
	case "smtpd_client_recipient_rate_limit":
		o.ClientRecipientRate = n
	case "smtpd_client_event_limit_exceptions":
		o.ClientLimitExceptions = networks{netip.MustParseAddr(value)}
	case "virtual_alias_maps":
		*b = *newBook("virt.example", strings.ReplaceAll(value, ";", "\n"))
	case "mydestination": // no user is known
	default:
		if !setAuthOption(o, name, value) {
			t.Fatalf("unknown option %q", name)
		}
	}
}
