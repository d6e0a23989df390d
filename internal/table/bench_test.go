package table

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// A million aliases: built in seconds, asked in less than a microsecond, and no part
// of our own memory.

const million = 1_000_000

func millionFile(b *testing.B) string {
	b.Helper()
	file := filepath.Join(b.TempDir(), "virtual")
	f, err := os.Create(file)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriter(f)
	for i := range million {
		fmt.Fprintf(w, "user%d@virt%d.example\ttarget%d@dest%d.example\n", i, i%1000, i, i%77)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	return file
}

func BenchmarkBuildMillion(b *testing.B) {
	for _, typ := range []string{"hash", "cdb"} {
		b.Run(typ, func(b *testing.B) {
			file := millionFile(b)
			b.ReportAllocs()
			for b.Loop() {
				build(b, typ+":"+file)
			}
		})
	}
}

func BenchmarkOpenMillion(b *testing.B) {
	for _, typ := range []string{"hash", "cdb"} {
		b.Run(typ, func(b *testing.B) {
			spec := typ + ":" + millionFile(b)
			build(b, spec)
			b.ReportAllocs()
			for b.Loop() {
				tb, err := Open(spec, Options{})
				if err != nil {
					b.Fatal(err)
				}
				tb.Close()
			}
		})
	}
}

// BenchmarkLookupMillion asks for any key of the million with the same chance, which is
// harder than mail is. The median is that of a sample, since time itself takes time.
func BenchmarkLookupMillion(b *testing.B) {
	for _, typ := range []string{"hash", "cdb"} {
		spec := typ + ":" + millionFile(b)
		build(b, spec)
		keys := make([]string, 1<<16)
		for i := range keys {
			n := i * 7919 % million
			keys[i] = fmt.Sprintf("user%d@virt%d.example", n, n%1000)
		}
		tb := open(b, spec, Options{})
		lookup := func(b *testing.B, suffix string, want bool) {
			asked := make([]string, len(keys))
			for i, k := range keys {
				asked[i] = k + suffix
			}
			took := make([]time.Duration, 0, 1<<20)
			before := heap()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				key := asked[i%len(asked)]
				start := time.Now()
				_, found, err := tb.Lookup(context.Background(), key)
				if len(took) < cap(took) {
					took = append(took, time.Since(start))
				}
				if found != want || err != nil {
					b.Fatal(key, found, err)
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2]), "median-ns")
			b.ReportMetric(float64(heap()-before)/1e6, "MB/heap")
			b.ReportMetric(float64(mappedPages(b, spec[len(typ)+1:]))/1e6, "MB/mapped")
		}
		b.Run(typ+"/hit", func(b *testing.B) { lookup(b, "", true) })
		b.Run(typ+"/miss", func(b *testing.B) { lookup(b, ".no", false) })
		b.Run(typ+"/parallel", func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if _, found, err := tb.Lookup(context.Background(), keys[i%len(keys)]); !found || err != nil {
						b.Fatal(found, err)
					}
				}
			})
		})
	}
}

// TestMappedIsBounded: what lookups leave resident of a table has a bound, however many
// there were and wherever in the file.
func TestMappedIsBounded(t *testing.T) {
	var text strings.Builder
	// Some 120 MB of records: more than may stay resident.
	for i := range 30_000 {
		fmt.Fprintf(&text, "user%d@virt.example %s\n", i, strings.Repeat("x", 4000))
	}
	for _, typ := range []string{"hash", "cdb"} {
		source := tableFile(t, text.String())
		build(t, typ+":"+source)
		tb := open(t, typ+":"+source, Options{})
		for i := range 30_000 {
			if got := answer(tb, fmt.Sprintf("user%d@virt.example", i*7919%30_000)); len(got) != 4000 {
				t.Fatalf("%s: %q", typ, got)
			}
			if i%500 == 0 {
				if n := mappedPages(t, source); n > (recordWindows+slotWindows+16)<<windowBits {
					t.Fatalf("%s: %d bytes are resident after %d lookups", typ, n, i)
				}
			}
		}
		if got := list(t, tb); len(got) != 30_000 {
			t.Errorf("%s: Each gave %d entries", typ, len(got))
		}
		if n := mappedPages(t, source); n > (recordWindows+slotWindows+16)<<windowBits {
			t.Errorf("%s: %d bytes are resident after Each", typ, n)
		}
	}
}

// mappedPages is how much of the files whose names begin so is resident, in bytes.
func mappedPages(t testing.TB, prefix string) (n int64) {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for line := range strings.SplitSeq(string(maps), "\n") {
		var kb int64
		switch _, err := fmt.Sscanf(line, "Rss: %d kB", &kb); {
		case err == nil && inside:
			n += kb << 10
		case err != nil && strings.Contains(line, "-") && strings.Contains(line, " r"):
			inside = strings.Contains(line, prefix)
		}
	}
	return n
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func BenchmarkDomainList(b *testing.B) {
	elems := make([]string, 10_000)
	for i := range elems {
		elems[i] = fmt.Sprintf("virt%d.example", i)
	}
	l, err := ParseDomainList(elems, Options{Subdomains: NoSubdomains})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := l.Match(context.Background(), "virt9999.example"); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
