package world

import (
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// disk is a disk in memory whose log takes its time to sync: while it does, mail waits for
// its 250, and the power may fail.
type disk struct {
	vfs.FS
	mem     *vfs.MemFS
	latency func() time.Duration

	mu     sync.Mutex // guards what follows
	onSync func()     // called once, before the next sync is done
}

// atNextSync has f called when the log is written but not yet safe.
func (d *disk) atNextSync(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.onSync = f
}

// afterPowerCut is the disk as it is found when the power is back: percent of what was not
// synced has got there all the same.
func (d *disk) afterPowerCut(percent int, rng *rand.Rand) *vfs.MemFS {
	return d.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
}

func (d *disk) sync() {
	d.mu.Lock()
	f := d.onSync
	d.onSync = nil
	d.mu.Unlock()
	if f != nil {
		f()
	}
	time.Sleep(d.latency())
}

func (d *disk) wrap(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil || !strings.HasSuffix(name, ".log") {
		return f, err
	}
	return logFile{f, d}, nil
}

// Create implements vfs.FS.
func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.Create(name, c)
	return d.wrap(name, f, err)
}

// ReuseForWrite implements vfs.FS.
func (d *disk) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.ReuseForWrite(old, name, c)
	return d.wrap(name, f, err)
}

type logFile struct {
	vfs.File
	d *disk
}

func (f logFile) Sync() error     { f.d.sync(); return f.File.Sync() }
func (f logFile) SyncData() error { f.d.sync(); return f.File.SyncData() }
func (f logFile) SyncTo(n int64) (bool, error) {
	f.d.sync()
	return f.File.SyncTo(n)
}
