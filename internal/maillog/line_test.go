package maillog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

const (
	stamp  = "Nov 02 19:09:54 mx "
	prefix = stamp + "postfix/"
)

// testID is a queue ID and its text.
var testID = mail.QueueID(1 << 40)

func options(out *bytes.Buffer) Options {
	at := time.Date(2025, 11, 2, 19, 9, 54, 123456789, time.UTC)
	return Options{Hostname: "mx.example.com", Out: out, PID: 4711, Now: func() time.Time { return at }, Location: time.UTC}
}

// logged is what one record becomes, without its newline.
func logged(t *testing.T, o func(*Options), daemon string, level slog.Level, msg string, attrs ...slog.Attr) string {
	t.Helper()
	var out bytes.Buffer
	opts := options(&out)
	if o != nil {
		o(&opts)
	}
	l := slog.New(New(opts)).With(mail.KeyDaemon, daemon)
	l.LogAttrs(context.Background(), level, msg, attrs...)
	line, ok := strings.CutSuffix(out.String(), "\n")
	if !ok || strings.Contains(line, "\n") {
		t.Errorf("not one line: %q", out.String())
	}
	return line
}

type record struct {
	name   string
	daemon string
	level  slog.Level
	msg    string
	attrs  []slog.Attr
	want   string // ID stands for testID
	json   string // the members behind pid, where they are worth a look
}

func str(key, value string) slog.Attr { return slog.String(key, value) }

func id() slog.Attr { return slog.Any(mail.KeyQueueID, testID) }

func delays(d ...time.Duration) slog.Attr {
	return slog.Any(mail.KeyDelays, [4]time.Duration(d))
}

const ms = time.Millisecond

// records have the form of what a Postfix wrote for the same things.
func records() []record {
	client := str(mail.KeyClient, "unknown[127.0.0.2]")
	proto, helo := str(mail.KeyProto, "ESMTP"), str(mail.KeyHelo, "client.example.net")
	return []record{
		{
			name: "connect", daemon: "smtpd", msg: mail.EventConnect, attrs: []slog.Attr{client},
			want: "smtpd[4711]: connect from unknown[127.0.0.2]",
			json: `"event":"connect","client":"unknown[127.0.0.2]"`,
		},
		{
			name: "disconnect", daemon: "smtpd", msg: mail.EventDisconnect,
			attrs: []slog.Attr{client, str(mail.KeyCommands, "ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4")},
			want:  "smtpd[4711]: disconnect from unknown[127.0.0.2] ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4",
		},
		{
			name: "disconnect without a command", daemon: "smtpd", msg: mail.EventDisconnect, attrs: []slog.Attr{client},
			want: "smtpd[4711]: disconnect from unknown[127.0.0.2]",
		},
		{
			name: "client", daemon: "smtpd", msg: mail.EventClient, attrs: []slog.Attr{id(), client},
			want: "smtpd[4711]: ID: client=unknown[127.0.0.2]",
			json: `"event":"client","queue_id":"ID","client":"unknown[127.0.0.2]"`,
		},
		{
			name: "client with more", daemon: "submission/smtpd", msg: mail.EventClient,
			attrs: []slog.Attr{id(), client, str("sasl_method", "PLAIN"), str("sasl_username", "joe")},
			want:  "submission/smtpd[4711]: ID: client=unknown[127.0.0.2], sasl_method=PLAIN, sasl_username=joe",
		},
		{
			name: "reject at RCPT", daemon: "smtpd", msg: mail.EventReject,
			attrs: []slog.Attr{
				str(mail.KeyStage, "RCPT"), client,
				str(mail.KeyReason, "550 5.1.1 <none@virt.example>: Recipient address rejected: User unknown in virtual alias table"),
				str(mail.KeyFrom, ""), str(mail.KeyTo, "none@virt.example"), proto, helo,
			},
			want: "smtpd[4711]: NOQUEUE: reject: RCPT from unknown[127.0.0.2]: 550 5.1.1 <none@virt.example>: Recipient address rejected: " +
				"User unknown in virtual alias table; from=<> to=<none@virt.example> proto=ESMTP helo=<client.example.net>",
			json: `"event":"reject","stage":"RCPT","client":"unknown[127.0.0.2]","from":"","to":"none@virt.example",` +
				`"reason":"550 5.1.1 <none@virt.example>: Recipient address rejected: User unknown in virtual alias table",` +
				`"proto":"ESMTP","helo":"client.example.net"`,
		},
		{
			name: "a header that is refused", daemon: "cleanup", msg: mail.EventContent,
			attrs: []slog.Attr{
				id(), str(mail.KeyKind, "reject"), str(mail.KeyStage, "header Subject: a\n\tb"), client,
				str(mail.KeyFrom, ""), str(mail.KeyTo, "x@virt.example"), proto, helo, str(mail.KeyReason, "5.7.1 no"),
			},
			want: "cleanup[4711]: ID: reject: header Subject: a??b from unknown[127.0.0.2]; from=<> to=<x@virt.example> proto=ESMTP helo=<client.example.net>: 5.7.1 no",
			json: `"event":"content","queue_id":"ID","stage":"header Subject: a\u000a\u0009b","client":"unknown[127.0.0.2]","from":"",` +
				`"to":"x@virt.example","reason":"5.7.1 no","proto":"ESMTP","helo":"client.example.net","kind":"reject"`,
		},
		{
			name: "a line from here", daemon: "cleanup", msg: mail.EventContent,
			attrs: []slog.Attr{id(), str(mail.KeyKind, "warning"), str(mail.KeyStage, "body x"), str(mail.KeyFrom, "a@b.example")},
			want:  "cleanup[4711]: ID: warning: body x from local; from=<a@b.example>",
		},
		{
			name: "reject at RCPT with a queue ID", daemon: "smtpd", msg: mail.EventReject,
			attrs: []slog.Attr{
				id(), str(mail.KeyStage, "RCPT"), client, str(mail.KeyReason, "554 5.7.1 <a@b@virt.example>: Relay access denied"),
				str(mail.KeyFrom, "sender@example.net"), slog.Any(mail.KeyTo, mail.Address{Local: "a@b", Domain: "virt.example"}), proto, helo,
			},
			want: `smtpd[4711]: ID: reject: RCPT from unknown[127.0.0.2]: 554 5.7.1 <a@b@virt.example>: Relay access denied; ` +
				`from=<sender@example.net> to=<"a@b"@virt.example> proto=ESMTP helo=<client.example.net>`,
		},
		{
			name: "reject at MAIL", daemon: "smtpd", msg: mail.EventReject,
			attrs: []slog.Attr{
				str(mail.KeyStage, "MAIL"), client, str(mail.KeyReason, "552 5.3.4 Message size exceeds fixed limit"),
				str(mail.KeyFrom, "sender@example.net"), str(mail.KeyTo, ""), proto, helo,
			},
			want: "smtpd[4711]: NOQUEUE: reject: MAIL from unknown[127.0.0.2]: 552 5.3.4 Message size exceeds fixed limit; " +
				"from=<sender@example.net> proto=ESMTP helo=<client.example.net>",
		},
		{
			name: "reject at CONNECT", daemon: "smtpd", msg: mail.EventReject,
			attrs: []slog.Attr{
				str(mail.KeyStage, "CONNECT"), client, str(mail.KeyReason, "421 4.7.0 Error: too many connections"),
				str(mail.KeyFrom, ""), str(mail.KeyTo, ""), str(mail.KeyProto, "SMTP"), str(mail.KeyHelo, ""),
			},
			want: "smtpd[4711]: NOQUEUE: reject: CONNECT from unknown[127.0.0.2]: 421 4.7.0 Error: too many connections; proto=SMTP",
		},
		{
			name: "lost", daemon: "smtpd", msg: mail.EventLost,
			attrs: []slog.Attr{str(mail.KeyReason, "lost connection"), str(mail.KeyStage, "DATA (12 bytes)"), client},
			want:  "smtpd[4711]: lost connection after DATA (12 bytes) from unknown[127.0.0.2]",
		},
		{
			name: "timeout, size apart", daemon: "smtpd", msg: mail.EventLost,
			attrs: []slog.Attr{str(mail.KeyReason, "timeout"), str(mail.KeyStage, "DATA"), client, slog.Int64(mail.KeySize, 0)},
			want:  "smtpd[4711]: timeout after DATA (0 bytes) from unknown[127.0.0.2]",
		},
		{
			name: "too many errors", daemon: "smtpd", msg: mail.EventLost,
			attrs: []slog.Attr{str(mail.KeyReason, "too many errors"), str(mail.KeyStage, "RCPT"), client},
			want:  "smtpd[4711]: too many errors after RCPT from unknown[127.0.0.2]",
		},
		{
			name: "message-id", daemon: "cleanup", msg: mail.EventMessageID, attrs: []slog.Attr{id(), str(mail.KeyMessage, "<c@d.example>")},
			want: "cleanup[4711]: ID: message-id=<c@d.example>",
			json: `"event":"message-id","queue_id":"ID","message_id":"<c@d.example>"`,
		},
		{
			name: "no message-id", daemon: "cleanup", msg: mail.EventMessageID, attrs: []slog.Attr{id(), str(mail.KeyMessage, "")},
			want: "cleanup[4711]: ID: message-id=",
		},
		{
			name: "refused at the dot", daemon: "cleanup", msg: mail.EventCleanup,
			attrs: []slog.Attr{
				id(), str(mail.KeyStage, "END-OF-MESSAGE"), client, str(mail.KeyReason, "5.7.1 not today"),
				str(mail.KeyFrom, "a@example.net"), str(mail.KeyTo, "b@virt.example"), proto, helo,
			},
			want: "cleanup[4711]: ID: reject: END-OF-MESSAGE from unknown[127.0.0.2]: 5.7.1 not today; " +
				"from=<a@example.net> to=<b@virt.example> proto=ESMTP helo=<client.example.net>",
		},
		{
			name: "refused, submitted here", daemon: "cleanup", msg: mail.EventCleanup,
			attrs: []slog.Attr{id(), str(mail.KeyStage, "END-OF-MESSAGE"), str(mail.KeyReason, "5.7.1 not today"), str(mail.KeyFrom, "")},
			want:  "cleanup[4711]: ID: reject: END-OF-MESSAGE from local: 5.7.1 not today; from=<>",
		},
		{
			name: "pickup", daemon: "pickup", msg: mail.EventPickup, attrs: []slog.Attr{id(), slog.Int(mail.KeyUID, 1002), str(mail.KeyFrom, "submitter")},
			want: "pickup[4711]: ID: uid=1002 from=<submitter>",
			json: `"event":"pickup","queue_id":"ID","uid":1002,"from":"submitter"`,
		},
		{
			name: "active", daemon: "qmgr", msg: mail.EventActive,
			attrs: []slog.Attr{id(), slog.Any(mail.KeyFrom, mail.Address{}), slog.Int64(mail.KeySize, 388), slog.Int(mail.KeyNrcpt, 1)},
			want:  "qmgr[4711]: ID: from=<>, size=388, nrcpt=1 (queue active)",
			json:  `"event":"active","queue_id":"ID","from":"","size":388,"nrcpt":1`,
		},
		{
			name: "removed", daemon: "qmgr", msg: mail.EventRemoved, attrs: []slog.Attr{id()},
			want: "qmgr[4711]: ID: removed",
		},
		{
			name: "expired", daemon: "qmgr", msg: mail.EventExpired, attrs: []slog.Attr{id(), str(mail.KeyFrom, "sender@example.net")},
			want: "qmgr[4711]: ID: from=<sender@example.net>, status=expired, returned to sender",
		},
		{
			name: "sent", daemon: "smtp", msg: mail.EventDelivery,
			attrs: []slog.Attr{
				id(), str(mail.KeyTo, "target@example.net"), str(mail.KeyOrigTo, "info@alias.example"), str(mail.KeyRelay, "mx.example.net[192.0.2.1]:25"),
				slog.Int(mail.KeyConnUse, 1), slog.Duration(mail.KeyDelay, 1483*ms), delays(80*ms, 20*ms, 570*ms, 810*ms),
				slog.Any(mail.KeyDSN, mail.Code(2, 0, 0)), str(mail.KeyStatus, "sent"), str(mail.KeyReason, "250 2.0.0 OK"),
			},
			want: "smtp[4711]: ID: to=<target@example.net>, orig_to=<info@alias.example>, relay=mx.example.net[192.0.2.1]:25, " +
				"delay=1.5, delays=0.08/0.02/0.57/0.81, dsn=2.0.0, status=sent (250 2.0.0 OK)",
			json: `"event":"delivery","queue_id":"ID","to":"target@example.net","orig_to":"info@alias.example","relay":"mx.example.net[192.0.2.1]:25",` +
				`"delay":1.483,"delays":[0.08,0.02,0.57,0.81],"dsn":"2.0.0","status":"sent","reason":"250 2.0.0 OK"`,
		},
		{
			name: "over a reused connection, not rewritten", daemon: "smtp", msg: mail.EventDelivery,
			attrs: []slog.Attr{
				id(), str(mail.KeyTo, "target@example.net"), str(mail.KeyOrigTo, "Target@Example.net"), str(mail.KeyRelay, "mx.example.net[192.0.2.1]:25"),
				slog.Int(mail.KeyConnUse, 3), slog.Duration(mail.KeyDelay, 12*time.Second), delays(12*time.Second, 0, 0, 4*ms),
				str(mail.KeyDSN, "4.2.0"), str(mail.KeyStatus, "deferred"),
				str(mail.KeyReason, "host mx.example.net[192.0.2.1] said: 450 4.2.0 <target@example.net>: try again (in reply to RCPT TO command)"),
			},
			want: "smtp[4711]: ID: to=<target@example.net>, relay=mx.example.net[192.0.2.1]:25, conn_use=3, " +
				"delay=12, delays=12/0/0/0, dsn=4.2.0, status=deferred (host mx.example.net[192.0.2.1] said: 450 4.2.0 " +
				"<target@example.net>: try again (in reply to RCPT TO command))",
			json: `"event":"delivery","queue_id":"ID","to":"target@example.net","relay":"mx.example.net[192.0.2.1]:25","conn_use":3,` +
				`"delay":12,"delays":[12,0,0,0.004],"dsn":"4.2.0","status":"deferred",` +
				`"reason":"host mx.example.net[192.0.2.1] said: 450 4.2.0 <target@example.net>: try again (in reply to RCPT TO command)"`,
		},
		{
			name: "bounced without a relay", daemon: "error", msg: mail.EventDelivery,
			attrs: []slog.Attr{
				id(), str(mail.KeyTo, "a@virt.example"), str(mail.KeyOrigTo, ""), str(mail.KeyRelay, ""),
				str(mail.KeyDSN, "5.1.1"), str(mail.KeyStatus, "bounced"), str(mail.KeyReason, "User unknown in virtual alias table"),
			},
			want: "error[4711]: ID: to=<a@virt.example>, relay=none, delay=0, delays=0/0/0/0, dsn=5.1.1, status=bounced (User unknown in virtual alias table)",
		},
		{
			name: "delivery with more", daemon: "smtp", msg: mail.EventDelivery,
			attrs: []slog.Attr{
				id(), str(mail.KeyTo, "jösé@dest.example"), str(mail.KeyRelay, "none"), str(mail.KeyDSN, "4.4.1"), str(mail.KeyStatus, "deferred"),
				str(mail.KeyReason, "x"), str("tls", "no"), str("attempt", "2"),
			},
			want: "smtp[4711]: ID: to=<jösé@dest.example>, relay=none, delay=0, delays=0/0/0/0, tls=no, attempt=2, dsn=4.4.1, status=deferred (x)",
		},
		{
			name: "connect error", daemon: "smtp", msg: mail.EventConnectErr,
			attrs: []slog.Attr{str(mail.KeyRelay, "mx.example.net[2001:db8::1]:25"), str(mail.KeyReason, "Network is unreachable")},
			want:  "smtp[4711]: connect to mx.example.net[2001:db8::1]:25: Network is unreachable",
			json:  `"event":"connect-error","relay":"mx.example.net[2001:db8::1]:25","reason":"Network is unreachable"`,
		},
		{
			name: "TLS of ours", daemon: "smtp", msg: mail.EventTLS,
			attrs: []slog.Attr{
				str(mail.KeyTLSLevel, "Untrusted"), str(mail.KeyRelay, "mx.example.net[192.0.2.1]:25"),
				str(mail.KeyTLS, "TLSv1.3 with cipher TLS_AES_128_GCM_SHA256 (128/128 bits)"),
			},
			want: "smtp[4711]: Untrusted TLS connection established to mx.example.net[192.0.2.1]:25: TLSv1.3 with cipher TLS_AES_128_GCM_SHA256 (128/128 bits)",
		},
		{
			name: "TLS of a client", daemon: "smtpd", msg: mail.EventTLS,
			attrs: []slog.Attr{str(mail.KeyTLSLevel, "Anonymous"), client, str(mail.KeyTLS, "TLSv1.3 with cipher X (256/256 bits)")},
			want:  "smtpd[4711]: Anonymous TLS connection established from unknown[127.0.0.2]: TLSv1.3 with cipher X (256/256 bits)",
		},
		{
			name: "reported", daemon: "bounce", msg: mail.EventReported,
			attrs: []slog.Attr{id(), str(mail.KeyKind, "failed"), slog.Any(mail.KeyNewID, testID)},
			want:  "bounce[4711]: ID: sender non-delivery notification: ID",
			json:  `"event":"reported","queue_id":"ID","kind":"failed","new_id":"ID"`,
		},
		{
			name: "delay reported", daemon: "bounce", msg: mail.EventReported,
			attrs: []slog.Attr{id(), str(mail.KeyKind, "delayed"), str(mail.KeyNewID, "NEW")},
			want:  "bounce[4711]: ID: sender delay notification: NEW",
		},
		{
			name: "delivery reported", daemon: "bounce", msg: mail.EventReported,
			attrs: []slog.Attr{id(), str(mail.KeyKind, "delivered"), str(mail.KeyNewID, "NEW")},
			want:  "bounce[4711]: ID: sender delivery status notification: NEW",
		},
		{
			name: "postmaster told", daemon: "bounce", msg: mail.EventReported,
			attrs: []slog.Attr{id(), str(mail.KeyKind, "postmaster failed"), str(mail.KeyNewID, "NEW")},
			want:  "bounce[4711]: ID: postmaster non-delivery notification: NEW",
		},
		{
			name: "operator", daemon: "postsuper", msg: mail.EventOperator, attrs: []slog.Attr{id(), str(mail.KeyReason, "removed")},
			want: "postsuper[4711]: ID: removed",
		},
		{
			name: "operator who is known", daemon: "postsuper", msg: mail.EventOperator, attrs: []slog.Attr{id(), str(mail.KeyReason, "removed"), slog.Int(mail.KeyUID, 1002)},
			want: "postsuper[4711]: ID: removed, uid=1002",
		},
		{
			name: "operator's sum", daemon: "postsuper", msg: mail.EventOperator, attrs: []slog.Attr{str(mail.KeyReason, "Deleted: 1 message")},
			want: "postsuper[4711]: Deleted: 1 message",
		},
		{
			name: "free", daemon: "master", msg: "daemon started -- version 1", want: "master[4711]: daemon started -- version 1",
			json: `"level":"info","msg":"daemon started -- version 1"`,
		},
		{
			name: "warning", daemon: "smtpd", level: slog.LevelWarn, msg: `fail:oops lookup error for "a@virt.example"`,
			want: `smtpd[4711]: warning: fail:oops lookup error for "a@virt.example"`,
			json: `"level":"warning","msg":"fail:oops lookup error for \"a@virt.example\""`,
		},
		{
			name: "warning of a message", daemon: "cleanup", level: slog.LevelWarn, msg: "queue file size limit exceeded", attrs: []slog.Attr{id()},
			want: "cleanup[4711]: warning: ID: queue file size limit exceeded",
			json: `"level":"warning","msg":"queue file size limit exceeded","queue_id":"ID"`,
		},
		{
			name: "error", daemon: "cleanup", level: slog.LevelError, msg: "open database /x.db: No such file or directory",
			want: "cleanup[4711]: error: open database /x.db: No such file or directory",
		},
		{
			name: "free with attributes", daemon: "qmgr", level: slog.LevelError, msg: "commit",
			attrs: []slog.Attr{
				slog.Any("err", errors.New("disk is full")), slog.Int("tries", 3), str(mail.KeyTo, "a@x"), slog.Duration(mail.KeyDelay, 1483*ms),
				delays(ms*10, 0, 0, 0), str("empty", ""), slog.Group("store", str("path", "/q"), slog.Bool("open", true)),
			},
			want: `qmgr[4711]: error: commit to=a@x delay=1.5 delays=0.01/0/0/0 err="disk is full" tries=3 empty="" store.path=/q store.open=true`,
			json: `"level":"error","msg":"commit","to":"a@x","delay":1.483,"delays":[0.01,0,0,0],"err":"disk is full","tries":3,"empty":"","store.path":"/q","store.open":true`,
		},
	}
}

func TestLines(t *testing.T) {
	for _, r := range records() {
		t.Run(r.name, func(t *testing.T) {
			want := prefix + strings.ReplaceAll(r.want, "ID: ", testID.String()+": ")
			if rest, ok := strings.CutSuffix(want, ": ID"); ok {
				want = rest + ": " + testID.String()
			}
			if got := logged(t, nil, r.daemon, r.level, r.msg, r.attrs...); got != want {
				t.Errorf("got\n%s, want\n%s", got, want)
			}
		})
	}
}

func TestJSON(t *testing.T) {
	for _, r := range records() {
		t.Run(r.name, func(t *testing.T) {
			got := logged(t, func(o *Options) { o.JSON = true }, r.daemon, r.level, r.msg, r.attrs...)
			var any map[string]any
			if err := json.Unmarshal([]byte(got), &any); err != nil {
				t.Fatalf("%s: %v", got, err)
			}
			head := `{"time":"2025-11-02T19:09:54.123456Z","host":"mx.example.com","name":"postfix","daemon":"` + r.daemon + `","pid":4711,`
			rest, ok := strings.CutPrefix(got, head)
			if !ok {
				t.Fatalf("got\n%s, want it to begin with\n%s", got, head)
			}
			if want := strings.ReplaceAll(r.json, `"ID"`, `"`+testID.String()+`"`) + "}"; r.json != "" && rest != want {
				t.Errorf("got\n%s, want\n%s", rest, want)
			}
		})
	}
}
