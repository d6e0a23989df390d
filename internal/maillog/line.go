package maillog

import (
	"log/slog"
	"strings"

	"aliasmx/internal/mail"
)

// How each event looks as a line of Postfix, behind "postfix/daemon[pid]: ". What an
// event carries beside its own keys is appended.

// appendLine appends the text of a record.
func appendLine(b []byte, f *fields, r slog.Record) []byte {
	switch r.Message {
	case mail.EventConnect:
		b = f.append(append(b, "connect from "...), keyClient)
	case mail.EventDisconnect:
		b = f.append(append(b, "disconnect from "...), keyClient)
		if !f.empty(keyCommands) {
			b = f.append(append(b, ' '), keyCommands)
		}
	case mail.EventClient:
		b = f.append(append(f.appendID(b, ""), "client="...), keyClient)
		return f.appendExtra(b, ", ")
	case mail.EventReject, mail.EventCleanup:
		b = f.appendReject(b)
	case mail.EventContent:
		b = f.appendContent(b)
	case mail.EventLost:
		b = f.append(b, keyReason)
		b = f.append(append(b, " after "...), keyStage)
		if f.has(keySize) {
			b = append(f.append(append(b, " ("...), keySize), " bytes)"...)
		}
		b = f.append(append(b, " from "...), keyClient)
	case mail.EventMessageID:
		b = f.append(append(f.appendID(b, ""), "message-id="...), keyMessage)
	case mail.EventPickup:
		b = f.append(append(f.appendID(b, ""), "uid="...), keyUID)
		b = f.appendAddress(append(b, ' '), keyFrom)
	case mail.EventActive:
		b = f.appendAddress(f.appendID(b, ""), keyFrom)
		b = f.append(append(b, ", size="...), keySize)
		b = f.append(append(b, ", nrcpt="...), keyNrcpt)
		b = append(b, " (queue active)"...)
	case mail.EventRemoved:
		b = append(f.appendID(b, ""), "removed"...)
	case mail.EventExpired:
		b = f.appendAddress(f.appendID(b, ""), keyFrom)
		b = append(b, ", status=expired, returned to sender"...)
	case mail.EventDelivery:
		return f.appendDelivery(b)
	case mail.EventConnectErr:
		b = f.append(append(b, "connect to "...), keyRelay)
		b = f.append(append(b, ": "...), keyReason)
	case mail.EventTLS:
		b = f.append(b, keyTLSLevel)
		if f.empty(keyRelay) {
			b = f.append(append(b, " TLS connection established from "...), keyClient)
		} else {
			b = f.append(append(b, " TLS connection established to "...), keyRelay)
		}
		b = f.append(append(b, ": "...), keyTLS)
	case mail.EventReported:
		b = append(f.appendID(b, ""), notification(f.str(keyKind))...)
		b = f.append(append(b, ": "...), keyNewID)
	case mail.EventOperator:
		if !f.empty(keyQueueID) {
			b = f.appendID(b, "")
		}
		b = f.append(b, keyReason)
		if f.has(keyUID) {
			b = f.append(append(b, ", uid="...), keyUID)
		}
	default:
		return f.appendFree(b, r)
	}
	return f.appendExtra(b, " ")
}

// append appends a value, nothing when it is not there.
func (f *fields) append(b []byte, k key) []byte {
	if !f.has(k) {
		return b
	}
	return appendValue(b, f.v[k])
}

// appendID appends "ID: ".
func (f *fields) appendID(b []byte, none string) []byte {
	if f.empty(keyQueueID) {
		if none == "" {
			return b
		}
		b = append(b, none...)
	} else {
		b = f.append(b, keyQueueID)
	}
	return append(b, ": "...)
}

// appendAddress appends "from=<address>".
func (f *fields) appendAddress(b []byte, k key) []byte {
	b = append(append(b, keyNames[k]...), "=<"...)
	return append(f.append(b, k), '>')
}

// appendReject is "ID: reject: RCPT from client: 550 ...; from=<> to=<> proto=ESMTP
// helo=<>". Before MAIL there is no sender and before RCPT no recipient to show.
func (f *fields) appendReject(b []byte) []byte {
	b = f.appendID(b, "NOQUEUE")
	if f.empty(keyKind) {
		b = append(b, "reject"...)
	}
	b = append(f.append(b, keyKind), ": "...)
	b = append(f.append(b, keyStage), " from "...)
	if f.empty(keyClient) {
		b = append(b, "local"...)
	}
	b = append(f.append(b, keyClient), ": "...)
	b = append(f.append(b, keyReason), ';')
	if f.has(keyFrom) && (!f.empty(keyFrom) || !beforeMail(f.str(keyStage))) {
		b = f.appendAddress(append(b, ' '), keyFrom)
	}
	if !f.empty(keyTo) {
		b = f.appendAddress(append(b, ' '), keyTo)
	}
	if !f.empty(keyProto) {
		b = f.append(append(b, " proto="...), keyProto)
	}
	if !f.empty(keyHelo) {
		b = f.appendAddress(append(b, ' '), keyHelo)
	}
	return b
}

// appendContent is "ID: reject: header Subject: ... from client; from=<> to=<> proto=ESMTP
// helo=<>: 5.7.1 ...": of header_checks(5).
func (f *fields) appendContent(b []byte) []byte {
	b = append(f.append(f.appendID(b, ""), keyKind), ": "...)
	b = append(f.append(b, keyStage), " from "...)
	if f.empty(keyClient) {
		b = append(b, "local"...)
	}
	b = append(f.append(b, keyClient), ';')
	b = f.appendAddress(append(b, ' '), keyFrom)
	if !f.empty(keyTo) {
		b = f.appendAddress(append(b, ' '), keyTo)
	}
	if !f.empty(keyProto) {
		b = f.append(append(b, " proto="...), keyProto)
	}
	if !f.empty(keyHelo) {
		b = f.appendAddress(append(b, ' '), keyHelo)
	}
	if !f.empty(keyReason) {
		b = f.append(append(b, ": "...), keyReason)
	}
	return b
}

func beforeMail(stage string) bool {
	return stage == "CONNECT" || stage == "HELO" || stage == "EHLO" || stage == "VRFY"
}

func (f *fields) appendDelivery(b []byte) []byte {
	b = f.appendAddress(f.appendID(b, ""), keyTo)
	if f.isRewritten() {
		b = f.appendAddress(append(b, ", "...), keyOrigTo)
	}
	b = append(b, ", relay="...)
	if f.empty(keyRelay) {
		b = append(b, "none"...)
	}
	b = f.append(b, keyRelay)
	if f.isReused() {
		b = f.append(append(b, ", conn_use="...), keyConnUse)
	}
	b = appendDelay(append(b, ", delay="...), delayOf(f.v[keyDelay]))
	for i, d := range delaysOf(f.v[keyDelays]) {
		if i == 0 {
			b = append(b, ", delays="...)
		} else {
			b = append(b, '/')
		}
		b = appendDelay(b, d)
	}
	if !f.empty(keyTLS) {
		b = f.append(append(b, ", tls="...), keyTLS)
	}
	b = f.appendExtra(b, ", ")
	b = f.append(append(b, ", dsn="...), keyDSN)
	b = f.append(append(b, ", status="...), keyStatus)
	return append(f.append(append(b, " ("...), keyReason), ')')
}

// isRewritten tells whether the recipient is another one than the sender wrote.
func (f *fields) isRewritten() bool {
	return !f.empty(keyOrigTo) && !strings.EqualFold(f.str(keyOrigTo), f.str(keyTo))
}

// isReused tells whether the connection carried a message before.
func (f *fields) isReused() bool {
	v := f.v[keyConnUse]
	return f.has(keyConnUse) && (v.Kind() == slog.KindInt64 && v.Int64() > 1 || v.Kind() == slog.KindUint64 && v.Uint64() > 1)
}

// notification is how Postfix calls a report in the log.
func notification(kind string) string {
	who := "sender"
	if rest, ok := strings.CutPrefix(kind, "postmaster"); ok {
		who, kind = "postmaster", strings.TrimLeft(rest, " -_")
	}
	switch kind {
	case "failed":
		return who + " non-delivery notification"
	case "delayed":
		return who + " delay notification"
	}
	return who + " delivery status notification"
}

// appendFree is a line that is no event.
func (f *fields) appendFree(b []byte, r slog.Record) []byte {
	switch {
	case r.Level >= slog.LevelError:
		b = append(b, "error: "...)
	case r.Level >= slog.LevelWarn:
		b = append(b, "warning: "...)
	}
	b = appendPrintable(f.appendID(b, ""), r.Message)
	for k := keyQueueID + 1; k < numKeys; k++ {
		if f.has(k) {
			b = appendPair(b, " ", keyNames[k], f.shown(k))
		}
	}
	return f.appendExtra(b, " ")
}

// shown is a value for a free line: delays as they are shown everywhere.
func (f *fields) shown(k key) slog.Value {
	var b []byte
	switch k {
	case keyDelay:
		b = appendDelay(nil, delayOf(f.v[k]))
	case keyDelays:
		for i, d := range delaysOf(f.v[k]) {
			if i > 0 {
				b = append(b, '/')
			}
			b = appendDelay(b, d)
		}
	default:
		return f.v[k]
	}
	return slog.StringValue(string(b))
}

// maxLine bounds what a record can add to a line by the number of its attributes.
const maxLine = 4 * maxValue

func (f *fields) appendExtra(b []byte, sep string) []byte {
	for _, a := range f.extra {
		if len(b) > maxLine {
			break
		}
		b = appendPair(b, sep, a.Key, a.Value)
	}
	return b
}

// appendPair appends key=value. A value that could be taken for more than one stands
// in quotes.
func appendPair(b []byte, sep, key string, v slog.Value) []byte {
	b = append(appendPrintable(append(b, sep...), key), '=')
	start := len(b)
	b = appendValue(b, v)
	if value := string(b[start:]); value == "" || strings.ContainsAny(value, ` "=,`) {
		b = append(b[:start], '"')
		b = append(b, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value)...)
		b = append(b, '"')
	}
	return b
}
