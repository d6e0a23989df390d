package table

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
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
	file := millionFile(b)
	b.ReportAllocs()
	for b.Loop() {
		build(b, "hash:"+file)
	}
	if info, err := os.Stat(file + ".db"); err == nil {
		b.ReportMetric(float64(info.Size())/1e6, "MB/index")
	}
}

func BenchmarkOpenMillion(b *testing.B) {
	file := millionFile(b)
	build(b, "hash:"+file)
	b.ReportAllocs()
	for b.Loop() {
		tb, err := Open("hash:"+file, Options{})
		if err != nil {
			b.Fatal(err)
		}
		tb.Close()
	}
}

func BenchmarkLookupMillion(b *testing.B) {
	file := millionFile(b)
	build(b, "hash:"+file)
	keys := make([]string, 4096)
	for i := range keys {
		n := i * 7919 % million
		keys[i] = fmt.Sprintf("user%d@virt%d.example", n, n%1000)
	}
	before := heap()
	tb := open(b, "hash:"+file, Options{})
	lookup := func(b *testing.B, suffix string, want bool) {
		b.ReportAllocs()
		asked := make([]string, len(keys))
		for i, k := range keys {
			asked[i] = k + suffix
		}
		i := 0
		for b.Loop() {
			if _, found, err := tb.Lookup(context.Background(), asked[i%len(asked)]); found != want || err != nil {
				b.Fatal(asked[i%len(asked)], found, err)
			}
			i++
		}
		b.ReportMetric(float64(heap()-before)/1e6, "MB/heap")
	}
	b.Run("hit", func(b *testing.B) { lookup(b, "", true) })
	b.Run("miss", func(b *testing.B) { lookup(b, ".no", false) })
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				if _, found, err := tb.Lookup(context.Background(), keys[i%len(keys)]); !found || err != nil {
					b.Fatal(found, err)
				}
			}
		})
	})
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
