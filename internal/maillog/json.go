package maillog

import (
	"log/slog"
	"strconv"
	"time"
	"unicode/utf8"

	"aliasmx/internal/mail"
)

// The log as JSON: one object a line, the fields of the line under the names of
// package mail, times in seconds. A free line has "level" and "msg" where an event
// has "event".

// events are the messages that are events.
var events = map[string]bool{
	mail.EventConnect: true, mail.EventDisconnect: true, mail.EventClient: true, mail.EventReject: true,
	mail.EventLost: true, mail.EventMessageID: true, mail.EventCleanup: true, mail.EventContent: true, mail.EventPickup: true,
	mail.EventActive: true, mail.EventRemoved: true, mail.EventExpired: true, mail.EventDelivery: true,
	mail.EventConnectErr: true, mail.EventTLS: true, mail.EventReported: true, mail.EventOperator: true,
}

// jsonTime is RFC 3339 to the microsecond.
const jsonTime = "2006-01-02T15:04:05.000000Z07:00"

func (h *Handler) appendJSON(b []byte, f *fields, r slog.Record, when time.Time) []byte {
	b = append(b, `{"time":"`...)
	b = when.AppendFormat(b, jsonTime)
	b = appendMember(append(b, '"'), "host", h.o.Hostname)
	b = appendMember(b, "name", h.name)
	b = appendMember(b, "daemon", h.daemon)
	b = strconv.AppendInt(append(b, `,"pid":`...), int64(h.o.PID), 10)
	if events[r.Message] {
		b = appendMember(b, "event", r.Message)
	} else {
		b = appendMember(b, "level", levelName(r.Level))
		b = appendMember(b, "msg", r.Message)
	}
	for k := keyQueueID; k < numKeys; k++ {
		if f.has(k) && f.worth(k) {
			b = f.appendMember(b, k)
		}
	}
	for _, a := range f.extra {
		if len(b) > maxLine {
			break
		}
		b = append(appendString(append(b, ','), a.Key), ':')
		b = appendJSONValue(b, a.Value)
	}
	return append(b, '}')
}

// worth tells whether a field has something to say: the same rule as for lines.
func (f *fields) worth(k key) bool {
	switch k {
	case keyOrigTo:
		return f.isRewritten()
	case keyConnUse:
		return f.isReused()
	case keyFrom:
		return true // the null reverse-path
	}
	return !f.empty(k)
}

func (f *fields) appendMember(b []byte, k key) []byte {
	b = append(appendString(append(b, ','), keyNames[k]), ':')
	switch k {
	case keyDelay:
		return appendSeconds(b, delayOf(f.v[k]))
	case keyDelays:
		for i, d := range delaysOf(f.v[k]) {
			b = append(b, "[,,,"[i])
			b = appendSeconds(b, d)
		}
		return append(b, ']')
	}
	return appendJSONValue(b, f.v[k])
}

func appendJSONValue(b []byte, v slog.Value) []byte {
	switch v.Kind() {
	case slog.KindInt64:
		return strconv.AppendInt(b, v.Int64(), 10)
	case slog.KindUint64:
		return strconv.AppendUint(b, v.Uint64(), 10)
	case slog.KindBool:
		return strconv.AppendBool(b, v.Bool())
	case slog.KindDuration:
		return appendSeconds(b, v.Duration())
	}
	return appendString(b, text(v))
}

func appendSeconds(b []byte, d time.Duration) []byte {
	return strconv.AppendFloat(b, float64(max(d, 0).Microseconds())/1e6, 'f', -1, 64)
}

func appendMember(b []byte, name, value string) []byte {
	b = append(append(append(b, `,"`...), name...), `":`...)
	return appendString(b, value)
}

// appendString appends a JSON string (RFC 8259 section 7), with the bound that values
// have in lines. What is not UTF-8 becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	more := ""
	if len(s) > maxValue {
		s, more = cut(s, maxValue), "..."
	}
	b = append(b, '"')
	for i := 0; i < len(s); {
		if n := harmless(s[i:]); n > 0 {
			b = append(b, s[i:i+n]...)
			i += n
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', s[i])
		case r == utf8.RuneError && n == 1:
			b = append(b, `\ufffd`...)
		case isControl(r):
			const hex = "0123456789abcdef"
			b = append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
		default:
			b = append(b, s[i:i+n]...)
		}
		i += n
	}
	return append(append(b, more...), '"')
}

// harmless is the length of what s begins with that stands in JSON as it is.
func harmless(s string) int {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return i
		}
	}
	return len(s)
}

func levelName(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "error"
	case l >= slog.LevelWarn:
		return "warning"
	case l >= slog.LevelInfo:
		return "info"
	}
	return "debug"
}
