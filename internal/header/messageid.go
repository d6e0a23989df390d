package header

import (
	"context"
	"log/slog"

	"aliasmx/internal/mail"
)

// MessageID is what a Message-ID field says, printable and in one line.
type MessageID struct {
	Value  string
	Resent bool // of a Resent-Message-ID field
}

// MessageIDs are those of the message in their order, the one that was added included.
// There may be none, and there may be several.
func (w *Writer) MessageIDs() []MessageID { return w.ids }

// LogMessageIDs writes the lines that cleanup(8) has about them.
func (w *Writer) LogMessageIDs(log *slog.Logger, queueID string) {
	ctx, id := context.Background(), slog.String(mail.KeyQueueID, queueID)
	told := false
	for _, m := range w.ids {
		if m.Resent {
			log.LogAttrs(ctx, slog.LevelInfo, "resent-message-id="+m.Value, id)
			continue
		}
		log.LogAttrs(ctx, slog.LevelInfo, mail.EventMessageID, id, slog.String(mail.KeyMessage, m.Value))
		told = true
	}
	if !told {
		log.LogAttrs(ctx, slog.LevelInfo, mail.EventMessageID, id, slog.String(mail.KeyMessage, "<>"))
	}
}

// addID keeps an ID to be told, up to maxIDs of each kind.
func (w *Writer) addID(id MessageID) {
	n := 0
	for _, has := range w.ids {
		if has.Resent == id.Resent {
			n++
		}
	}
	if w.ids == nil {
		w.ids = w.firstID[:0]
	}
	if n < maxIDs {
		w.ids = append(w.ids, id)
	}
}
