package admin

import (
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"aliasmx/internal/mail"
)

// The lines of a listing, written by hand: there may be a million of them, and most of
// their time went into finding out what their fields are. A listedLine reads them.

func appendListed(b []byte, m *mail.Listed) []byte {
	b = append(b, `{"queue":`...)
	b = appendText(b, m.Queue)
	b = append(b, `,"id":`...)
	b = strconv.AppendUint(b, uint64(m.ID), 10)
	b = append(b, `,"arrived":"`...)
	b = m.Arrived.AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","size":`...)
	b = strconv.AppendInt(b, m.Size, 10)
	b = append(b, `,"sender":`...)
	b = appendAddress(b, m.Sender)
	if m.Expired {
		b = append(b, `,"expired":true`...)
	}
	b = append(b, `,"rcpts":[`...)
	for i := range m.Rcpts {
		r := &m.Rcpts[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"address":`...)
		b = appendAddress(b, r.Address)
		b = appendField(b, `,"orig":`, r.Orig)
		b = appendField(b, `,"reason":`, r.Reason)
		b = appendField(b, `,"dest":`, string(r.Dest))
		b = append(b, '}')
	}
	return append(b, "]}\n"...)
}

func appendAddress(b []byte, a mail.Address) []byte {
	b = appendText(append(b, '['), a.Local)
	return append(appendText(append(b, ','), a.Domain), ']')
}

func appendField(b []byte, name, s string) []byte {
	if s == "" {
		return b
	}
	return appendText(append(b, name...), s)
}

// appendText is the JSON of a text. What needs care is left to encoding/json.
func appendText(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			quoted, err := json.Marshal(text(s))
			if err != nil { // of a string: never
				quoted = []byte(`""`)
			}
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
