package header

import (
	"log/slog"
	"slices"

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
func (w *Writer) LogMessageIDs(log *slog.Logger) {
	plain := func(id MessageID) bool { return !id.Resent }
	for _, id := range w.ids {
		if id.Resent {
			log.Info("resent-message-id=" + id.Value)
		} else {
			log.Info(mail.EventMessageID, slog.String(mail.KeyMessage, id.Value))
		}
	}
	if !slices.ContainsFunc(w.ids, plain) {
		log.Info(mail.EventMessageID, slog.String(mail.KeyMessage, "<>"))
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
	if n < maxIDs {
		w.ids = append(w.ids, id)
	}
}
