package bounce

import (
	"strconv"
	"strings"

	"aliasmx/internal/mail"
)

// What a client hears of a next hop's answer while it is connected (relay_while_connected):
// the same that a report would tell its sender, and no more (bounce_hide_destination).

// Tell is the reply that a result is for the client of a message. The text is without code and
// enhanced code, and empty where there is nothing that the client may know.
func (w *Writer) Tell(env *mail.Envelope, r *mail.Result) mail.Status {
	s := mail.Status{Code: replyCode(r), Enhanced: r.Status.Enhanced}
	s.Enhanced[0] = uint16(s.Code / 100)
	if v := w.veilFor(env); v != nil && len(v.secrets) > 0 {
		// A reply about one of several may name the others, and itself in any spelling.
		switch r.State {
		case mail.Failed:
			s.Text = veiledReason(mail.ReportFailed, s.Enhanced)
		case mail.Deferred:
			s.Text = veiledReason(mail.ReportDelayed, s.Enhanced)
		}
		return s
	}
	if s.Text = withoutCodes(mask(r.RemoteReply), r.Status); s.Text == "" {
		s.Text = mask(r.Reason)
	}
	return s
}

// replyCode is the code of a reply that says what a result does. 421 and 521 would end the
// client's session, of which the next hop knows nothing.
func replyCode(r *mail.Result) int {
	class := map[mail.State]int{mail.Delivered: 2, mail.Failed: 5, mail.Deferred: 4}[r.State]
	if c := r.Status.Code; c/100 == class && c%100 != 21 {
		return c
	}
	switch {
	case class == 2:
		return 250
	case class == 4:
		return 451
	case r.Status.Enhanced == mail.Code(5, 3, 4):
		return 552 // RFC 1870 section 6.2
	case r.Status.Enhanced[1] == 6:
		return 554
	}
	return 550
}

// withoutCodes is a reply without what a reply of ours says itself: the codes at the
// beginning of each of its lines, which are joined by spaces.
func withoutCodes(reply string, s mail.Status) string {
	code, enhanced := strconv.Itoa(s.Code), s.Enhanced.String()
	text := " " + reply
	text = strings.ReplaceAll(text, " "+code+"-"+enhanced+" ", " ")
	text = strings.ReplaceAll(text, " "+code+" "+enhanced+" ", " ")
	text = strings.ReplaceAll(text, " "+code+"-", " ")
	text = strings.TrimPrefix(text, " "+code+" ")
	return strings.TrimSpace(text)
}
