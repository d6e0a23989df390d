package maillog

import (
	"fmt"
	"log/slog"
	"strconv"

	"aliasmx/internal/mail"
)

// key is one of the keys of package mail, in the order in which JSON shows them.
type key uint8

const (
	keyDaemon key = iota
	keyQueueID
	keyStage
	keyClient
	keyUID
	keyCommands
	keyMessage
	keyFrom
	keyTo
	keyOrigTo
	keySize
	keyNrcpt
	keyRelay
	keyConnUse
	keyDelay
	keyDelays
	keyDSN
	keyStatus
	keyReason
	keyProto
	keyHelo
	keyKind
	keyNewID
	keyTLSLevel
	keyTLS
	numKeys
)

var keyNames = [numKeys]string{
	keyDaemon: mail.KeyDaemon, keyQueueID: mail.KeyQueueID, keyStage: mail.KeyStage, keyClient: mail.KeyClient,
	keyUID: mail.KeyUID, keyCommands: mail.KeyCommands, keyMessage: mail.KeyMessage, keyFrom: mail.KeyFrom,
	keyTo: mail.KeyTo, keyOrigTo: mail.KeyOrigTo, keySize: mail.KeySize, keyNrcpt: mail.KeyNrcpt,
	keyRelay: mail.KeyRelay, keyConnUse: mail.KeyConnUse, keyDelay: mail.KeyDelay, keyDelays: mail.KeyDelays,
	keyDSN: mail.KeyDSN, keyStatus: mail.KeyStatus, keyReason: mail.KeyReason, keyProto: mail.KeyProto,
	keyHelo: mail.KeyHelo, keyKind: mail.KeyKind, keyNewID: mail.KeyNewID, keyTLSLevel: mail.KeyTLSLevel,
	keyTLS: mail.KeyTLS,
}

var keysByName = func() map[string]key {
	m := make(map[string]key, numKeys)
	for k, name := range keyNames {
		m[name] = key(k)
	}
	return m
}()

// fields are the attributes of a record, sorted out.
type fields struct {
	v       [numKeys]slog.Value
	present uint32 // a bit for each key
	extra   []slog.Attr
}

func (f *fields) has(k key) bool { return f.present&(1<<k) != 0 }

func (f *fields) set(group string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, member := range v.Group() {
			f.set(group, member)
		}
		return
	}
	if k, known := keysByName[a.Key]; known && group == "" {
		f.v[k] = v
		f.present |= 1 << k
		return
	}
	if a.Key == "" && v.Kind() == slog.KindAny && v.Any() == nil {
		return // the zero Attr, to be ignored
	}
	f.extra = append(f.extra, slog.Attr{Key: group + a.Key, Value: v})
}

// str is the text of a field, "" when it is not there.
func (f *fields) str(k key) string {
	if !f.has(k) {
		return ""
	}
	return text(f.v[k])
}

func (f *fields) empty(k key) bool { return !f.has(k) || isEmpty(f.v[k]) }

// isEmpty tells whether a value shows nothing.
func isEmpty(v slog.Value) bool {
	switch v.Kind() {
	case slog.KindString:
		return v.String() == ""
	case slog.KindAny:
		switch x := v.Any().(type) {
		case nil:
			return true
		case mail.QueueID:
			return x == 0
		case mail.Address:
			return x.IsNull()
		}
	}
	return false
}

// text is a value as it is shown, not yet made printable.
func text(v slog.Value) string {
	if v.Kind() != slog.KindAny {
		return v.String()
	}
	switch x := v.Any().(type) {
	case nil:
		return ""
	case mail.QueueID:
		if x == 0 {
			return ""
		}
		return x.String()
	case mail.Address:
		return x.String() // info_log_address_format = external
	case error:
		return x.Error()
	case fmt.Stringer:
		return x.String()
	case []byte:
		return string(x)
	default:
		return fmt.Sprint(x)
	}
}

// appendValue appends a value, made printable.
func appendValue(b []byte, v slog.Value) []byte {
	switch v.Kind() {
	case slog.KindString:
		return appendPrintable(b, v.String())
	case slog.KindInt64:
		return strconv.AppendInt(b, v.Int64(), 10)
	case slog.KindUint64:
		return strconv.AppendUint(b, v.Uint64(), 10)
	case slog.KindAny:
		if e, ok := v.Any().(mail.Enhanced); ok {
			b = strconv.AppendUint(b, uint64(e[0]), 10)
			b = strconv.AppendUint(append(b, '.'), uint64(e[1]), 10)
			return strconv.AppendUint(append(b, '.'), uint64(e[2]), 10)
		}
	}
	return appendPrintable(b, text(v))
}
