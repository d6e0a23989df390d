package maillog

import (
	"log/slog"
	"path/filepath"
	"testing"

	"aliasmx/internal/mail"
)

// A line into a file, written by itself and together with others, from many goroutines.
func BenchmarkFile(b *testing.B) {
	for _, gather := range []bool{false, true} {
		name := "alone"
		if gather {
			name = "gathered"
		}
		b.Run(name, func(b *testing.B) {
			f, err := OpenFile(filepath.Join(b.TempDir(), "maillog"))
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			if gather {
				f.Gather()
			}
			log := slog.New(New(Options{Out: f, Hostname: "mx"})).With(mail.KeyDaemon, "qmgr")
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					log.Info(mail.EventRemoved, mail.KeyQueueID, "03TySgGfHj28")
				}
			})
		})
	}
}
