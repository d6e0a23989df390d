package delivery

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"aliasmx/internal/mail"
	"aliasmx/internal/wire"
)

// What of a server's answers is not taken as it comes: keywords that are discarded, EHLO
// that is not said, replies that are replaced.

// ehloKeywords are those that can be discarded; others are ignored, so that a
// configuration for another version of Postfix works (postconf(5):
// smtp_discard_ehlo_keywords).
var ehloKeywords = []string{
	"8BITMIME", "AUTH", "ETRN", "PIPELINING", "SIZE", "VERP", "VRFY", "XCLIENT", "XFORWARD", "STARTTLS",
	"ENHANCEDSTATUSCODES", "DSN", "SMTPUTF8", "CHUNKING", "REQUIRETLS", "LIMITS",
}

const silentDiscard = "SILENT-DISCARD"

// discards are the keywords that do not count with this server.
func (s *session) discards(ctx context.Context) ([]string, error) {
	words := s.set.DiscardEHLO
	if s.set.DiscardEHLOFor != nil {
		addr := s.host.addr.String()
		if s.host.path != "" {
			addr = s.host.path
		}
		special, found, err := s.set.DiscardEHLOFor(ctx, addr)
		if err != nil {
			return nil, fmt.Errorf("%s_discard_%s_keyword_address_maps map lookup error for %s: %w",
				s.proto, strings.ToLower(s.greetingVerb()), addr, err)
		}
		if found {
			words = special
		}
	}
	var known []string
	for _, w := range ehloKeywords {
		if slices.Contains(words, w) {
			known = append(known, w)
		}
	}
	if len(known) > 0 && !slices.Contains(words, silentDiscard) {
		s.log.Info("discarding EHLO keywords: " + strings.Join(known, " "))
	}
	return known, nil
}

// wantsEHLO tells whether the greeting, which is the reply that was read last, is answered
// with EHLO.
func (s *session) wantsEHLO() bool {
	switch {
	case s.proto == protoLMTP:
		return true
	case s.set.NeverEHLO:
		return false
	case s.set.EHLOByBanner:
		return slices.ContainsFunc(strings.Fields(s.reply.Text()), func(w string) bool { return strings.EqualFold(w, "ESMTP") })
	}
	return true
}

// forgetServer drops what was learned: in the clear anybody may have said it (RFC 3207
// section 4.2).
func (s *session) forgetServer() {
	s.extensions, s.sizeLimit, s.limits, s.xforward = 0, 0, limits{}, 0
	s.auth.offered, s.auth.methods = false, nil
}

// filterReplies puts smtp_reply_filter in the way of replies. One that cannot be asked
// ends the connection.
func (s *session) filterReplies(ctx context.Context) {
	s.conn.WholeReplies(s.set.RequestDeadline)
	filter := s.set.ReplyFilter
	if filter == nil {
		return
	}
	s.conn.FilterReplies(func(line []byte) ([]byte, error) {
		instead, found, err := filter(ctx, string(line))
		switch {
		case err != nil:
			s.log.Warn(s.proto.String() + "_reply_filter: " + err.Error())
			return nil, wire.ErrReplyFilter
		case found:
			s.log.Info(fmt.Sprintf("%s: replacing server reply %q with %q", s.relay, line, instead))
			return []byte(instead), nil
		}
		return line, nil
	})
}

// localError is what is ours in a failed read.
func (s *session) localError(err error) *failure {
	if err != wire.ErrReplyFilter {
		return nil
	}
	return siteFailure(mail.Code(4, 3, 0), "local data error while talking to "+s.place)
}
