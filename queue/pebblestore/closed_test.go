package pebblestore_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/queue/pebblestore"
)

// A log or a table that is missing from a closed queue, be it in the middle of others, is
// named in the log, also when another node takes the queue over; what was in it is gone.
func TestMissingFileIsNamed(t *testing.T) {
	disk := vfs.NewCrashableMem()
	variedQueue(t, disk, oldDir, 1, rand.New(rand.NewPCG(1, 9)), 300)
	names, err := disk.List(oldDir + "/db")
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, name := range names {
		if !strings.HasSuffix(name, ".log") && !strings.HasSuffix(name, ".sst") {
			continue
		}
		tried++
		damaged := func() *vfs.MemFS {
			clone := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
			if err := clone.Remove(oldDir + "/db/" + name); err != nil {
				t.Fatal(err)
			}
			return clone
		}
		log := &logBook{}
		o := crashOptions(damaged())
		o.Dir, o.Log, o.Fatal = oldDir, log.logger(), func(error) {}
		s, err := pebblestore.Open(o)
		if err == nil {
			_ = s.Close()
		}
		if text := log.String(); !strings.Contains(text, name) || !strings.Contains(text, "mail may be missing") {
			t.Errorf("without %s: %v, log: %s", name, err, text)
		}
		heir := openAt(t, damaged(), "/var/queue", nil)
		if sum, err := adopt(heir, oldDir); err == nil && !sum.Damaged {
			t.Errorf("without %s: adopted %+v", name, sum)
		}
		_ = heir.Close()
	}
	if tried < 2 {
		t.Errorf("only %d files were tried: %v", tried, names)
	}
}

// A queue that was closed and not touched says nothing.
func TestUntouchedQueueSaysNothing(t *testing.T) {
	disk := vfs.NewMem()
	variedQueue(t, disk, oldDir, 1, rand.New(rand.NewPCG(1, 9)), 300)
	log := &logBook{}
	s := openAt(t, disk, oldDir, func(o *pebblestore.Options) { o.Log = log.logger() })
	_ = s.Close()
	if text := log.String(); strings.Contains(text, "ERROR") {
		t.Error(text)
	}
}
