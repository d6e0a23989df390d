package pebblestore

import (
	"errors"
	iofs "io/fs"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/internal/mail"
)

// Tamper changes the database of a store that is closed.
func Tamper(t *testing.T, fs vfs.FS, db string, change func(b *pebble.Batch)) {
	t.Helper()
	d, err := pebble.Open(db, &pebble.Options{FS: fs, FormatMajorVersion: pebble.FormatNewest, Logger: newEngineLog(nil, nil)})
	if err != nil {
		t.Fatal(err)
	}
	b := d.NewBatch()
	change(b)
	if err := b.Commit(pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	// It is another database than the one that was closed: as after a crash.
	if err := fs.Remove(fs.PathJoin(fs.PathDir(db), cleanFile)); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		t.Fatal(err)
	}
}

// Keys for Tamper.
func CountsKey() []byte                       { return []byte(keyCounts) }
func HeldDestKey(dest mail.Dest) []byte       { return heldKey(dest) }
func NewKey(id mail.QueueID) []byte           { return idKey(keyNew, id) }
func BodyKey(id mail.QueueID) []byte          { return idKey(keyBody, id) }
func JobKey(id mail.QueueID, n uint32) []byte { return jobKey(id, n) }
func DueKey(dest mail.Dest, at int64, id mail.QueueID) []byte {
	return dueKey(dest, due{at: at, id: id})
}
