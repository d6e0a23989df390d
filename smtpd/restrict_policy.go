package smtpd

import (
	"context"
	"strconv"
	"strings"
	"unicode/utf8"
)

// check_policy_service: a server of the operator decides (SMTPD_POLICY_README).

func (s *session) checkPolicy(ctx context.Context, r *Restriction) outcome {
	action, err := r.asked.Ask(ctx, s.policyAttributes())
	about := s.judged.about
	if err == nil && s.o.SMTPUTF8Enable && !utf8.ValidString(action) {
		s.warn("malformed UTF-8 in policy server " + r.arg + ` response: "` + strings.ToValidUTF8(action, "?") + `"`)
		action = ""
	}
	if err != nil {
		s.warn("problem talking to server " + r.asked.Name() + ": " + err.Error())
		action = ""
	}
	if action != "" {
		return s.act(ctx, r.asked.Name(), "policy query", action, about)
	}
	// A default action may lead to a server again, but not for ever.
	j := &s.judged
	j.fallback++
	defer func() { j.fallback-- }()
	instead := defaultPolicyAction
	if j.fallback == 1 {
		instead = r.asked.DefaultAction()
	}
	return s.act(ctx, r.asked.Name(), "policy query", instead, about)
}

// defaultPolicyAction is smtpd_policy_service_default_action.
const defaultPolicyAction = "451 4.3.5 Server configuration problem"

// policyAttributes is what a policy server is told, in Postfix's order.
func (s *session) policyAttributes() [][2]string {
	j, tx := &s.judged, &s.tx
	stage, count := j.stage, 0
	if stage == "BDAT" {
		stage = "DATA"
	}
	if stage == "DATA" || stage == "END-OF-MESSAGE" {
		count = tx.accepted
	}
	recipient, sender, id, proto := "", "", "", "SMTP"
	if j.hasRcpt {
		recipient = j.rcpt.Internal()
	}
	if tx.active {
		sender = tx.sender.Internal()
	}
	if tx.id != 0 {
		id = tx.idText
	}
	if s.esmtp {
		proto = "ESMTP"
	}
	size := tx.opts.Size
	if n := tx.content.size(); n > 0 {
		size = n
	}
	return append([][2]string{
		{"request", "smtpd_access_policy"},
		{"protocol_state", stage},
		{"protocol_name", proto},
		{"client_address", s.peer.Addr.String()},
		{"client_name", s.peer.Name},
		{"client_port", s.peer.port()},
		{"reverse_client_name", s.peer.Reverse},
		{"server_address", s.peer.serverAddr()},
		{"server_port", s.peer.serverPort()},
		{"helo_name", s.helo},
		{"sender", sender},
		{"recipient", recipient},
		{"recipient_count", strconv.Itoa(count)},
		{"queue_id", id},
		{"instance", s.instance()},
		{"size", strconv.FormatInt(size, 10)},
		{"etrn_domain", j.etrn},
		{"stress", s.o.Stress},
		{"sasl_method", s.login.method},
		{"sasl_username", s.login.username},
		{"sasl_sender", s.saslSender()},
	}, s.tlsAttributes()...)
}

// instance is the same for all questions about one message, and never again.
func (s *session) instance() string {
	if s.asker == 0 {
		s.asker = s.srv.instances.Add(1)
	}
	at := s.tx.arrived
	if !s.tx.active {
		at = s.started
	}
	return strconv.FormatUint(s.asker, 16) + "." + strconv.FormatInt(at.Unix(), 16) + "." +
		strconv.FormatInt(int64(at.Nanosecond()/1000), 16) + "." + strconv.FormatUint(s.transactions, 16)
}
