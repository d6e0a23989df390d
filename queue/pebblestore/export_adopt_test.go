package pebblestore

import "aliasmx/internal/mail"

// More keys and records for Tamper.
func MessageKey(id mail.QueueID) []byte        { return idKey(keyMessage, id) }
func EncodeEnvelope(env *mail.Envelope) []byte { return encodeEnvelope(env) }
