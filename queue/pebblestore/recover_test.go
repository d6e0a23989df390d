package pebblestore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/internal/mail"
	"aliasmx/queue"
	"aliasmx/queue/pebblestore"
	"aliasmx/queue/storetest"
)

// TestReopen: what was new, deferred, held and claimed before is there again, and all
// that is not held can be claimed.
func TestReopen(t *testing.T) {
	dir := t.TempDir()
	clock := storetest.NewClock(testTime)
	o := pebblestore.Options{Dir: dir, Now: clock.Now}
	s := mustOpen(t, o)
	rng := rand.New(rand.NewPCG(1, 1))
	var all []queue.Job
	for i := range 40 {
		jobs, err := put(s, rng, 10+i*8000)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, jobs...)
		clock.Add(time.Second)
	}
	for i, j := range all {
		switch i % 4 {
		case 0: // new: its attempt has not ended
		case 1:
			storetest.Apply(s, queue.Outcome{Job: j, NextDue: testTime.Add(time.Hour), Results: []mail.Result{{Reason: "busy"}}})
		case 2:
			if err := s.Hold(t.Context(), j.ID); err != nil {
				t.Fatal(err)
			}
		case 3:
			storetest.Apply(s, queue.Outcome{Job: j, Results: []mail.Result{{State: mail.Delivered}}})
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, o)
	list, err := storetest.List(s)
	if err != nil || len(list) != 30 {
		t.Fatalf("%d messages, %v", len(list), err)
	}
	for i, l := range list {
		if want := []string{"incoming", "deferred", "hold"}[i%3]; l.Queue != want {
			t.Errorf("%s is in %s, want %s", l.ID, l.Queue, want)
		}
		if _, _, err := s.Load(t.Context(), l.ID); err != nil {
			t.Error(err)
		}
	}
	jobs, next, err := s.Claim(t.Context(), "smtp:a.example", clock.Now(), 100)
	if err != nil || len(jobs) != 10 || !next.Equal(testTime.Add(time.Hour)) {
		t.Fatalf("%d jobs, next %v, %v", len(jobs), next, err)
	}
	for i, j := range jobs { // oldest first
		if j.ID != all[4*i].ID || j.Attempts != 0 {
			t.Errorf("job %d: %+v, want one of %s", i, j, all[4*i].ID)
		}
	}
}

// TestIDsAreNotUsedAgain, not even those of messages that are gone when the clock was
// set back, whether the queue was closed or its process killed.
func TestIDsAreNotUsedAgain(t *testing.T) {
	for _, kill := range []bool{false, true} {
		disk := vfs.NewCrashableMem()
		clock := storetest.NewClock(testTime)
		var last mail.QueueID
		for generation := range 5 {
			s := mustOpen(t, pebblestore.Options{Dir: "/queue", FS: disk, Now: clock.Now})
			for range 20 {
				jobs, err := put(s, rand.New(rand.NewPCG(1, 1)), 10)
				if err != nil {
					t.Fatal(err)
				}
				if jobs[0].ID <= last {
					t.Fatalf("kill %v, generation %d: ID %s after %s", kill, generation, jobs[0].ID, last)
				}
				last = jobs[0].ID
				storetest.Apply(s, queue.Outcome{Job: jobs[0], Results: []mail.Result{{State: mail.Delivered}}})
				clock.Add(700 * time.Millisecond)
			}
			if kill {
				disk = disk.CrashClone(vfs.CrashCloneCfg{})
			} else if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			clock.Add(-time.Hour)
		}
		if ahead := last.Time().Sub(testTime); ahead > 2*time.Minute {
			t.Errorf("kill %v: IDs are %s ahead of the clock", kill, ahead)
		}
	}
}

// TestSweep: files that no message has are removed, a message without its file is
// corrupt, and what is not ours stays.
func TestSweep(t *testing.T) {
	disk := vfs.NewMem()
	log := &logBook{}
	o := crashOptions(disk)
	o.Log = log.logger()
	s := mustOpen(t, o)
	rng := rand.New(rand.NewPCG(1, 1))
	var ids []mail.QueueID
	for range 3 {
		jobs, err := put(s, rng, 9000)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, jobs[0].ID)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	stray := mail.QueueID(ids[0] - 1)
	path := func(id mail.QueueID) string { return fmt.Sprintf("/var/queue/big/%02x/%s", byte(id>>23), id) }
	if err := disk.MkdirAll("/var/queue/big/"+fmt.Sprintf("%02x", byte(stray>>23)), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path(stray), "/var/queue/big/new/17", "/var/queue/big/README"} {
		f, err := disk.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	if err := disk.Remove(path(ids[1])); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, o)
	list, err := storetest.List(s)
	if err != nil || len(list) != 3 || list[0].Queue != "incoming" || list[1].Queue != "corrupt" || list[2].Queue != "incoming" {
		t.Errorf("listed %+v, %v", list, err)
	}
	if !strings.Contains(log.String(), "is missing") || s.Stats().Corrupt != 1 {
		t.Errorf("log %s", log)
	}
	if left := files(t, disk, "/var/queue/big"); len(left) != 3 {
		t.Errorf("files %v", left)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, o)
	if s.Stats().Corrupt != 0 {
		t.Error("the missing file is told again at each start")
	}
}

func TestOpenRefuses(t *testing.T) {
	open := func(o pebblestore.Options) error {
		s, err := pebblestore.Open(o)
		if err == nil {
			_ = s.Close()
		}
		return err
	}
	write := func(t *testing.T, path, text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name string
		make func(t *testing.T, dir string) vfs.FS
		want string
	}{
		{"a file", func(t *testing.T, dir string) vfs.FS {
			_ = os.RemoveAll(dir)
			write(t, dir, "x", 0o600)
			return nil
		}, "not a directory"},
		{"a newer format", func(t *testing.T, dir string) vfs.FS {
			write(t, dir+"/format", "aliasmx queue format 2\n", 0o600)
			return nil
		}, "format is version 2, this program knows up to 1"},
		{"a format that is none", func(t *testing.T, dir string) vfs.FS {
			write(t, dir+"/format", "", 0o600)
			return nil
		}, "is damaged"},
		{"a lost database", func(t *testing.T, dir string) vfs.FS {
			write(t, dir+"/format", "aliasmx queue format 1\n", 0o600)
			return nil
		}, "does not exist"},
		{"another owner", func(t *testing.T, dir string) vfs.FS {
			return otherOwner{vfs.Default}
		}, "belongs to uid 54321"},
		{"rights for all", func(t *testing.T, dir string) vfs.FS {
			if err := os.Chmod(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			return nil
		}, "chmod 0700"},
		{"rights for all, elsewhere", func(t *testing.T, dir string) vfs.FS {
			if err := os.Chmod(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			return vfs.Default
		}, "chmod 0775"},
		{"writers of the mail", func(t *testing.T, dir string) vfs.FS {
			write(t, dir+"/clean", "", 0o600)
			_ = os.Chmod(dir+"/clean", 0o620)
			return nil
		}, "/clean has mode 0620: others could change the queue"},
		{"a link to a queue", func(t *testing.T, dir string) vfs.FS {
			if err := errors.Join(os.Rename(dir, dir+".real"), os.Symlink(dir+".real", dir)); err != nil {
				t.Fatal(err)
			}
			return nil
		}, "is a symbolic link"},
		{"a link to a database", func(t *testing.T, dir string) vfs.FS {
			if err := errors.Join(os.Mkdir(dir+".db", 0o700), os.Symlink(dir+".db", dir+"/db")); err != nil {
				t.Fatal(err)
			}
			return nil
		}, "/db is a symbolic link"},
		{"a link to a file", func(t *testing.T, dir string) vfs.FS {
			if err := os.Symlink("/etc/passwd", dir+"/ballast"); err != nil {
				t.Fatal(err)
			}
			return nil
		}, "/ballast is a symbolic link"},
		{"a bucket that is a file", func(t *testing.T, dir string) vfs.FS {
			if err := os.Mkdir(dir+"/big", 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, dir+"/big/00", "", 0o600)
			return nil
		}, "/big/00 is not a directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir() + "/queue"
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			fs := tt.make(t, dir)
			err := open(pebblestore.Options{Dir: dir, FS: fs})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("%v, want it to say %q", err, tt.want)
			}
		})
	}
	if err := open(pebblestore.Options{}); err == nil {
		t.Error("a queue without a directory was opened")
	}
}

// otherOwner says that all directories belong to somebody else.
type otherOwner struct{ vfs.FS }

func (o otherOwner) Stat(name string) (vfs.FileInfo, error) {
	info, err := o.FS.Stat(name)
	if err != nil {
		return nil, err
	}
	return otherInfo{info}, nil
}

type otherInfo struct{ vfs.FileInfo }

func (otherInfo) Sys() any { return &syscall.Stat_t{Uid: 54321} }

// TestInUse: a queue has one owner; the second is told so, and harms nothing.
func TestInUse(t *testing.T) {
	for name, o := range map[string]pebblestore.Options{
		"disk":   {Dir: t.TempDir() + "/made/here"},
		"memory": {Dir: "/queue", FS: vfs.NewMem()},
	} {
		s := mustOpen(t, o)
		if _, err := pebblestore.Open(o); !errors.Is(err, queue.ErrInUse) {
			t.Errorf("%s: second Open: %v", name, err)
		}
		if _, err := put(s, rand.New(rand.NewPCG(1, 1)), 100); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = mustOpen(t, o)
		if list, err := storetest.List(s); len(list) != 1 || err != nil {
			t.Errorf("%s: %d messages, %v", name, len(list), err)
		}
	}
}

// TestModes: nobody else can read the mail.
func TestModes(t *testing.T) {
	dir := t.TempDir() + "/queue"
	s := mustOpen(t, pebblestore.Options{Dir: dir})
	if _, err := put(s, rand.New(rand.NewPCG(1, 1)), 300_000); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", "/db", "/big"} {
		info, err := os.Stat(dir + path)
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v, %v", dir+path, info.Mode(), err)
		}
	}
	if _, err := os.Stat(dir + "/clean"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an open queue is marked as cleanly closed: %v", err)
	}
}

// TestMemory: bodies in memory are counted, bounded, and given up after the attempt.
func TestMemory(t *testing.T) {
	s := mustOpen(t, pebblestore.Options{Dir: "/queue", FS: vfs.NewMem(), BodyMemory: 100_000, MemTableSize: 4 << 20})
	rng := rand.New(rand.NewPCG(1, 1))
	var all []queue.Job
	for range 20 {
		jobs, err := put(s, rng, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, jobs...)
	}
	if st := s.Stats(); st.Memory != 100_000 || st.Active != 20 {
		t.Errorf("%+v", st)
	}
	for i, j := range all {
		if _, b, err := s.Load(t.Context(), j.ID); err != nil || b.Size() != 10_000 {
			t.Fatal(err)
		}
		switch i % 3 {
		case 0:
			storetest.Apply(s, queue.Outcome{Job: j, Results: []mail.Result{{State: mail.Delivered}}})
		case 1:
			storetest.Apply(s, queue.Outcome{Job: j})
		case 2:
			s.Release([]queue.Job{j})
		}
	}
	if st := s.Stats(); st.Memory != 0 || st.Active != 0 {
		t.Errorf("%+v", st)
	}
	// Bodies that come in beside others that fill the memory go to files at once.
	var staged []queue.Staged
	for range 15 {
		d, err := s.Stage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if _, err := d.Write(make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
		staged = append(staged, d)
	}
	if st := s.Stats(); st.Memory > 100_000 {
		t.Errorf("%+v", st)
	}
	for _, d := range staged {
		if _, err := d.Commit(t.Context(), storetest.Envelope(s.IDs().Next(), testTime, "smtp:a.example")); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDeliveredMailReachesNoTable: what is delivered soon after it came in is dead when
// memory is flushed, and costs no more than its bytes in the log.
func TestDeliveredMailReachesNoTable(t *testing.T) {
	s := mustOpen(t, pebblestore.Options{Dir: "/queue", FS: vfs.NewMem(), MemTableSize: 1 << 20})
	rng := rand.New(rand.NewPCG(1, 1))
	var line []queue.Job
	for range 3000 {
		jobs, err := put(s, rng, 4000)
		if err != nil {
			t.Fatal(err)
		}
		line = append(line, jobs...)
		if len(line) > 10 {
			storetest.Apply(s, queue.Outcome{Job: line[0], Results: []mail.Result{{State: mail.Delivered}}})
			line = line[1:]
		}
	}
	st := s.Stats()
	t.Logf("%d kB to the log, %d kB to tables", st.LogBytes>>10, st.TableBytes>>10)
	if st.LogBytes < 12_000_000 || st.TableBytes*10 > st.LogBytes {
		t.Errorf("%d bytes to the log, %d to tables", st.LogBytes, st.TableBytes)
	}
}

// TestManyRecipients: an envelope larger than half a memtable takes another way through
// the database.
func TestManyRecipients(t *testing.T) {
	o := pebblestore.Options{Dir: "/queue", FS: vfs.NewMem(), MemTableSize: 1}
	s := mustOpen(t, o)
	var dests []mail.Dest
	for i := range 5000 {
		dests = append(dests, mail.Dest(fmt.Sprintf("smtp:d%d.example", i%90)))
	}
	env := storetest.Envelope(s.IDs().Next(), testTime, dests...)
	d, err := s.Stage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = d.Write(make([]byte, 50_000))
	jobs, err := d.Commit(t.Context(), env)
	if err != nil || len(jobs) != 180 {
		t.Fatalf("%d jobs, %v", len(jobs), err)
	}
	for _, j := range jobs[:100] {
		var results []mail.Result
		for _, r := range j.Rcpts {
			results = append(results, mail.Result{Rcpt: r, State: mail.Delivered})
		}
		if a := storetest.Apply(s, queue.Outcome{Job: j, Results: results}); a.Err != nil || a.Removed {
			t.Fatalf("%+v", a)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, o)
	list, err := storetest.List(s)
	if err != nil || len(list) != 1 || len(list[0].Rcpts) >= 5000 || len(list[0].Rcpts) < 2000 {
		t.Fatalf("%d messages, %v", len(list), err)
	}
	got, _, err := s.Load(t.Context(), env.ID)
	if err != nil || storetest.SameEnvelope(got, env) != nil {
		t.Error(err, storetest.SameEnvelope(got, env))
	}
}
