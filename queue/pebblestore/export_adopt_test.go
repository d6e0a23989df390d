package pebblestore

import (
	"encoding/binary"
	"time"

	"aliasmx/internal/mail"
)

// More keys and records for Tamper.
func MessageKey(id mail.QueueID) []byte        { return idKey(keyMessage, id) }
func EncodeEnvelope(env *mail.Envelope) []byte { return encodeEnvelope(env) }

// ScrubKey and ScrubDone: the weekly check was begun then, and is done.
func ScrubKey() []byte { return []byte(keyScrub) }
func ScrubDone(begun time.Time) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(begun.UnixMilli()))
	return append(b, 0, 0, 0, 0, 0, 0, 0, 0, 1)
}
