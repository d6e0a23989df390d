package pebblestore

import (
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/internal/mail"
)

// PutBody changes the body of a message behind the back of a store that is closed.
func PutBody(t *testing.T, fs vfs.FS, db string, id mail.QueueID, body []byte) {
	t.Helper()
	d, err := pebble.Open(db, &pebble.Options{FS: fs, FormatMajorVersion: pebble.FormatNewest, Logger: newEngineLog(nil, nil)})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Set(idKey(keyBody, id), body, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}
