package pebblestore

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// TestMarkerComesAfterWhatItMarks: the name of a file is on stable storage before there
// is a marker that may speak of it. Seen as: "could not open manifest file" after a
// power cut on a disk that does not keep the order of changes to a directory.
func TestMarkerComesAfterWhatItMarks(t *testing.T) {
	mem := vfs.NewCrashableMem()
	disk := newEngineFS(mem, &space{}, newEngineLog(nil, nil))
	for _, name := range []string{"MANIFEST-000002", "000003.sst", "marker.manifest.000002.MANIFEST-000002"} {
		f, err := disk.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	names, err := mem.CrashClone(vfs.CrashCloneCfg{}).List("/")
	if err != nil || len(names) != 2 {
		t.Errorf("after a power cut there are %q, %v", names, err)
	}
}

// TestFailedSyncOfDirectory ends the process with a word, not with a panic of Pebble's.
func TestFailedSyncOfDirectory(t *testing.T) {
	bad := errors.New("bad disk")
	inject := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSync {
			return bad
		}
		return nil
	})
	var died error
	log := newEngineLog(nil, nil)
	log.setFatal(func(err error) { died = err })
	d, err := newEngineFS(errorfs.Wrap(vfs.NewMem(), inject), &space{}, log).OpenDir("/")
	if err != nil {
		t.Fatal(err)
	}
	err = guarded(func() error {
		t.Errorf("Sync returned: %v", d.Sync())
		return nil
	})
	if err == nil || !errors.Is(died, bad) {
		t.Errorf("Sync: %v, died of %v", err, died)
	}
}
