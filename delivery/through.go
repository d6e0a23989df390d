package delivery

import (
	"context"
	"io"
	"log/slog"

	"aliasmx/internal/checks"
	"aliasmx/internal/header"
	"aliasmx/internal/mail"
)

// What a message goes through on its way out: smtp_header_checks and its relatives, and the
// rewriting of generic(5). Without either it leaves as it is stored.

// checksOf are those of a protocol; nil: none.
func (s *settings) checksOf(p protocol) *checks.Rules {
	if p == protoLMTP {
		return s.LMTPChecks
	}
	return s.Checks
}

// through returns where to write the body of a message, what is to stand above it, and what
// ends it (nil: nothing). ctx bounds what the tables may take.
func (w *contentWriter) through(ctx context.Context, a *mail.Attempt, rules *checks.Rules, rewrite addressRewriter) (dst io.Writer, above []byte, end func() error, err error) {
	dst, above = w, a.Env.Prepend
	if rewrite != nil {
		h := header.NewWriter(w, header.Options{Rewrite: rewrite, KeepSpelling: true})
		dst, end = h, h.Close
	}
	if rules == nil {
		return dst, above, end, nil
	}
	f := rules.Filter(dst, checks.Message{
		Context: func() context.Context { return ctx },
		Log:     w.s.log.With(slog.String(mail.KeyQueueID, a.Env.ID.String())),
	})
	rest := end
	above, err = f.Above(above)
	return f, above, func() error {
		if err := f.Close(); err != nil {
			return err
		}
		if refused := f.Refused(); refused != nil {
			return refused // a table could not answer
		}
		if rest != nil {
			return rest()
		}
		return nil
	}, err
}
