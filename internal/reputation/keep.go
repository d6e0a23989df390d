package reputation

import (
	"fmt"
	"time"

	"aliasmx/internal/cachefile"
)

// Keeping the ledger: its file, and that what is over is dropped.

const cleanEvery = time.Hour

// saveDelay is how long what was counted may be missing in the file: a large one takes
// longer to write, and is written less often.
func (b *Book) saveDelay() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.sent.all)
	for _, r := range b.aliases.rows {
		n += len(r.days)
	}
	return 5*time.Second + time.Duration(n)*time.Second/2000
}

// load reads the file, once. The caller holds mu.
func (b *Book) load() {
	if b.loaded {
		return
	}
	b.loaded = true
	if b.o.File == "" {
		return
	}
	text, err := cachefile.Read(b.o.File)
	if err == nil && text != nil {
		err = b.decode(text)
	}
	if err != nil {
		b.log.Warn(fmt.Sprintf("reputation_map %s: %v; starting with an empty ledger", b.o.Name, err))
	}
}

func (b *Book) unsaved(err error) {
	b.log.Warn(fmt.Sprintf("reputation_map: %v; what is counted is kept in memory only", err))
}

// clean drops the days that are over.
func (b *Book) clean(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	today := dayOf(now)
	if b.aliases.clean(today)+b.domains.clean(today) > 0 {
		b.keeper.Changed()
	}
}
