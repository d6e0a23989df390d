package pebblestore_test

import (
	"bytes"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// What is left of a disk when the process, or the power, has gone.

// sector is what a disk writes whole or not at all, at least.
const sector = 512

// killed is the disk as the next process finds it when this one dies: nothing is lost,
// and nothing is synced that was not.
func (d *disk) killed() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	copies := make(map[*node]*node)
	var cloneOf func(n *node) *node
	clones := func(names map[string]*node) map[string]*node {
		if names == nil {
			return nil
		}
		c := make(map[string]*node, len(names))
		for name, n := range names {
			c[name] = cloneOf(n)
		}
		return c
	}
	cloneOf = func(n *node) *node {
		if c := copies[n]; c != nil {
			return c
		}
		c := &node{isDir: n.isDir}
		copies[n] = c
		if n.isDir {
			c.names, c.kept = clones(n.names), clones(n.kept)
			return c
		}
		n.shared = len(n.data)
		*c = *n
		c.data = n.data[:len(n.data):len(n.data)]
		return c
	}
	return &disk{root: cloneOf(d.root), locks: make(map[string]bool), usage: d.usage}
}

// cut is a disk as it may be after a power cut. What was synced is there. Of what was not,
// each sector written, each name given and each name taken away has got to the platter
// with a probability of percent, or a file's bytes up to some point; between sectors that
// did are zeros. Only a rename is never half: a file that has a name keeps one.
func (d *disk) cut(percent int, rng *rand.Rand) *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := &cutting{percent: percent, rng: rng, copies: make(map[*node]*node), placed: make(map[*node]int), alive: make(map[*node]bool)}
	c.live(d.root)
	root := c.dir(d.root)
	for _, r := range c.removals {
		if n := r.was; c.chance() && (!c.alive[n] || c.placed[n] > 1) {
			c.placed[n]--
			delete(r.dir.names, r.name)
			delete(r.dir.kept, r.name)
		}
	}
	return &disk{root: root, locks: make(map[string]bool), usage: d.usage}
}

// cutting is a power cut under way.
type cutting struct {
	percent  int
	rng      *rand.Rand
	copies   map[*node]*node // of files
	placed   map[*node]int   // names of a file in the copy
	alive    map[*node]bool  // files that have a name now
	removals []removal
}

// removal is a name that was taken away since its directory was synced.
type removal struct {
	dir  *node // in the copy
	name string
	was  *node
}

func (c *cutting) chance() bool {
	switch c.percent {
	case 0, 100:
		return c.percent == 100
	}
	return c.rng.IntN(100) < c.percent
}

func (c *cutting) live(dir *node) {
	for _, n := range dir.names {
		if n.isDir {
			c.live(n)
		} else {
			c.alive[n] = true
		}
	}
}

func (c *cutting) dir(n *node) *node {
	all := slices.Collect(maps.Keys(n.names))
	for name := range n.kept {
		if n.names[name] == nil {
			all = append(all, name)
		}
	}
	slices.Sort(all) // so that a seed makes the same disk each time
	to := &node{isDir: true, names: make(map[string]*node)}
	for _, name := range all {
		was, is := n.kept[name], n.names[name]
		if is != was && is != nil && c.chance() {
			was = is
		}
		switch {
		case was == nil:
			continue
		case was.isDir:
			to.names[name] = c.dir(was)
			continue
		}
		if c.copies[was] == nil {
			c.copies[was] = c.file(was)
		}
		to.names[name] = c.copies[was]
		c.placed[was]++
		if is == nil {
			c.removals = append(c.removals, removal{to, name, was})
		}
	}
	to.kept = maps.Clone(to.names)
	return to
}

func (c *cutting) file(n *node) *node {
	data := n.safe
	switch {
	case n.from == n.to || c.percent == 0:
	case c.percent == 100:
		data, n.shared = n.data, len(n.data)
	case c.rng.IntN(2) == 0: // up to some point
		at := n.from + c.rng.IntN(n.to-n.from+1)
		data = append(bytes.Clone(n.data[:at]), n.safe[min(at, len(n.safe)):]...)
	default:
		data = bytes.Clone(n.safe)
		for at := n.from - n.from%sector; at < n.to; at += sector {
			if end := min(at+sector, len(n.data)); c.chance() {
				if len(data) < end {
					data = append(data, make([]byte, end-len(data))...)
				}
				copy(data[at:end], n.data[at:end])
			}
		}
		if len(data) < len(n.data) && c.chance() { // its length got there, its bytes did not
			data = append(data, make([]byte, len(n.data)-len(data))...)
		}
	}
	data = data[:len(data):len(data)]
	return &node{data: data, safe: data, shared: len(data)}
}

// TestDisk: the strict disk itself loses and keeps what it should.
func TestDisk(t *testing.T) {
	d := newDisk()
	write := func(name, text string, sync bool) {
		t.Helper()
		f, err := d.Create(name, "")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = f.Write([]byte(text))
		if sync {
			_ = f.Sync()
		}
	}
	syncDir := func(name string) {
		dir, err := d.OpenDir(name)
		if err != nil {
			t.Fatal(err)
		}
		_ = dir.Sync()
	}
	_ = d.MkdirAll("/a/b", 0)
	write("/a/gone", "gone", true)
	write("/a/old", "old", true)
	write("/a/torn", "synced", true)
	syncDir("/")
	syncDir("/a")
	f, _ := d.OpenReadWrite("/a/torn", "")
	_, _ = f.Write(bytes.Repeat([]byte("x"), 5*sector))
	_ = d.Remove("/a/gone")
	_ = d.Rename("/a/old", "/a/b/new")
	write("/a/fresh", "not synced", false)

	text := func(d vfs.FS, name string) string {
		f, err := d.Open(name)
		if err != nil {
			return "none"
		}
		b, _ := io.ReadAll(f)
		return string(b)
	}
	if c := d.cut(0, nil); text(c, "/a/gone") != "gone" || text(c, "/a/old") != "old" || text(c, "/a/fresh") != "none" || text(c, "/a/torn") != "synced" {
		t.Errorf("nothing but what was synced: %v", c.root.names["a"])
	}
	if c := d.cut(100, nil); text(c, "/a/gone") != "none" || text(c, "/a/b/new") != "old" || text(c, "/a/old") != "none" || text(c, "/a/fresh") != "not synced" {
		t.Errorf("all that was written: %v", c.root.names["a"])
	}
	seen := make(map[string]bool)
	for seed := range uint64(300) {
		cutAt := func() *disk { return d.cut(50, rand.New(rand.NewPCG(seed, 1))) }
		c := cutAt()
		if text(c, "/a/old") == "none" && text(c, "/a/b/new") == "none" {
			t.Fatalf("seed %d: a renamed file has no name", seed)
		}
		if again := cutAt(); text(c, "/a/torn") != text(again, "/a/torn") {
			t.Fatalf("seed %d makes two disks", seed)
		}
		seen["gone "+text(c, "/a/gone")] = true
		seen["fresh "+text(c, "/a/fresh")] = true
		switch torn := text(c, "/a/torn"); {
		case torn[:6] == "synced" && len(torn) > sector:
			seen["hole"] = true
		case len(torn)%sector != 0 && torn[:6] == "xxxxxx":
			seen["torn"] = true
		}
	}
	for _, want := range []string{"gone gone", "gone none", "fresh none", "fresh not synced", "hole", "torn"} {
		if !seen[want] {
			t.Errorf("never seen: %s (%v)", want, seen)
		}
	}
	// The killed process leaves what it wrote, and the power cut after it takes it.
	k := d.killed()
	if text(k, "/a/torn") != text(d, "/a/torn") || text(k.cut(0, nil), "/a/torn") != "synced" || text(k.cut(0, nil), "/a/gone") != "gone" {
		t.Error("a killed process changes what is synced")
	}
	g, _ := k.OpenReadWrite("/a/torn", "")
	_, _ = g.Write([]byte("y"))
	if text(d, "/a/torn")[0] != 'x' {
		t.Error("a copy of the disk is not a copy")
	}
}
