package pebblestore

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// Options of a Store. Only Dir is needed.
type Options struct {
	Dir string // queue_directory; made when it is missing
	FS  vfs.FS // nil: the disk

	// InlineLimit is the largest body that is kept in the database (queue_inline_limit);
	// 0: 128 KiB. It is never more than a quarter of MemTableSize.
	InlineLimit int64
	// MinFree is how much of the disk must be free for mail to be taken in
	// (queue_minfree). 0: 1.5 times MessageSizeLimit or 1 GiB, whichever is more, but no
	// more than a tenth of the disk.
	MinFree int64
	// MessageSizeLimit is message_size_limit, for the default of MinFree; 0: none.
	MessageSizeLimit int64
	// RecipientLimit is how many recipients a job has at most
	// (default_destination_recipient_limit); 0: queue.DestinationRecipientLimit.
	RecipientLimit int
	// RecipientLimits are those of single transports (smtp_destination_recipient_limit).
	RecipientLimits map[string]int
	// BodyMemory bounds the bodies that are kept in memory for their first attempt, and
	// apart from them the bodies that are coming in (smtpd_data_memory_limit): beyond it
	// bodies are read from disk again, or written to files early. 0: 256 MiB.
	BodyMemory int64
	// MemTableSize is how much the database keeps in memory before it writes a table.
	// 0: 64 MiB, on small disks a 128th of the disk. The log takes up to five times that.
	MemTableSize int64
	// CommitTimeout is how long Commit waits for the disk before it gives up; 0: 30 s.
	CommitTimeout time.Duration

	Node uint16 // of queue IDs, 0 to 1023
	Now  func() time.Time
	Log  *slog.Logger // nil: none
	// Compactions decides when Pebble may tidy up; nil: Pebble's own scheduler, which looks
	// for work ten times a second. In virtual time that is all there would be.
	Compactions pebble.CompactionScheduler
	// Fatal is called when a sync has failed. It must end the process, and not by
	// returning. nil: exit status 1.
	Fatal func(error)

	adopted bool // it is opened by the queue that takes it over
}

const (
	defaultInlineLimit  = 128 << 10
	defaultBodyMemory   = 256 << 20
	defaultMemTableSize = 64 << 20
	smallestMemTable    = 256 << 10
	defaultTimeout      = 30 * time.Second
	gibibyte            = 1 << 30
)

// fill sets the defaults that do not depend on the disk.
func (o *Options) fill() error {
	if o.Dir == "" {
		return fmt.Errorf("open queue: no directory was named; set queue_directory")
	}
	if o.InlineLimit <= 0 {
		o.InlineLimit = defaultInlineLimit
	}
	if o.BodyMemory <= 0 {
		o.BodyMemory = defaultBodyMemory
	}
	if o.CommitTimeout <= 0 {
		o.CommitTimeout = defaultTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With(mail.KeyDaemon, "qmgr")
	if o.Fatal == nil {
		o.Fatal = func(error) { os.Exit(1) }
	}
	return nil
}

// fitDisk sets the defaults that depend on the size of the disk; 0: unknown.
func (o *Options) fitDisk(total int64) {
	if o.MemTableSize <= 0 {
		o.MemTableSize = defaultMemTableSize
		if total > 0 {
			o.MemTableSize = min(o.MemTableSize, total/128)
		}
	}
	o.MemTableSize = max(o.MemTableSize, smallestMemTable)
	o.InlineLimit = min(o.InlineLimit, o.MemTableSize/4)
	if o.MinFree <= 0 {
		o.MinFree = max(o.MessageSizeLimit+o.MessageSizeLimit/2, gibibyte)
		if total > 0 {
			o.MinFree = min(o.MinFree, total/10)
		}
	}
}

// ballastSize is what is kept back of a disk for outcomes and removals.
func ballastSize(total int64) int64 { return min(total/32, 256<<20) }

func (o *Options) recipientLimits() queue.RecipientLimits {
	return queue.RecipientLimits{Default: o.RecipientLimit, Of: o.RecipientLimits}
}
