package smtpd

import (
	"context"

	"aliasmx/internal/mail"
)

// Every restriction that there is, SMTPD_ACCESS_README and postconf(5). What a
// restriction does stands in the file of its subject: restrict_client.go,
// restrict_helo.go, restrict_address.go, restrict_relay.go, restrict_servers.go,
// restrict_lists.go, restrict_policy.go, restrict_greylist.go, restrict_verify.go, restrict_login.go, access.go.

// Names that stand for elements without a name of their own. No word can be one.
const (
	bareTable = "{table}"
	aClass    = "{class}"
)

// synonyms are the names that Postfix keeps from its past, with those of today.
var synonyms = map[string]string{
	"reject_invalid_hostname":  "reject_invalid_helo_hostname",
	"reject_non_fqdn_hostname": "reject_non_fqdn_helo_hostname",
	"reject_unknown_address":   "reject_unknown_sender_domain",
	"reject_unknown_client":    "reject_unknown_client_hostname",
	"reject_unknown_hostname":  "reject_unknown_helo_hostname",
	"reject_rbl":               "reject_rbl_client",
	"check_recipient_maps":     "reject_unlisted_recipient",
}

// withdrawn are restrictions of Postfix that a start is refused for, and why.
func withdrawn() map[string]string {
	gone := "Postfix has removed it"
	return map[string]string{
		"permit_mx_backup": "it would accept mail for any domain whose owner names this host in the DNS; " +
			"name the domains in relay_domains and use permit_auth_destination",
		"check_relay_domains":     gone + "; write permit_mynetworks, reject_unauth_destination",
		"permit_naked_ip_address": gone + "; write permit_mynetworks",
		"reject_maps_rbl":         gone + "; write reject_rbl_client and the list's domain",
	}
}

// builtin is the rules by every name they have.
func builtin() map[string]*rule {
	rules := []rule{
		{name: "permit", apply: (*session).permitAll},
		{name: "reject", apply: (*session).rejectAll},
		{name: "defer", apply: (*session).deferAll},
		{name: "warn_if_reject", apply: (*session).warnIfReject},
		{name: "defer_if_permit", apply: (*session).deferIfPermit},
		{name: "defer_if_reject", apply: (*session).deferIfReject},
		{name: "sleep", argument: aNumber, apply: (*session).sleep},
		{name: "reject_unauth_pipelining", apply: (*session).rejectPipelining},
		{name: "reject_plaintext_session", apply: (*session).rejectPlaintext},
		{name: "check_policy_service", argument: aPolicy, apply: (*session).checkPolicy},
		{name: "check_greylist", apply: (*session).checkGreylist, needs: needsGreylist},
		{name: bareTable, argument: aTable, apply: (*session).checkDefault},
		{name: aClass, apply: (*session).applyClass},

		{name: "permit_mynetworks", apply: (*session).permitMyNetworks},
		{name: "permit_inet_interfaces", apply: (*session).permitInterfaces},
		{name: "permit_sasl_authenticated", apply: (*session).permitAuthenticated},
		{name: "permit_tls_clientcerts", apply: (*session).permitKnown},
		{name: "permit_tls_all_clientcerts", apply: (*session).permitTrusted},
		{name: "reject_unknown_client_hostname", apply: (*session).rejectUnknownClient},
		{name: "reject_unknown_reverse_client_hostname", apply: (*session).rejectUnknownReverse},
		{name: "check_client_access", argument: aTable, apply: (*session).checkClient},
		{name: "check_reverse_client_hostname_access", argument: aTable, apply: (*session).checkReverse},
		{name: "check_ccert_access", argument: aTable, apply: (*session).checkCertificate},
		{name: "check_sasl_access", argument: aTable, apply: (*session).checkSASL},

		{name: "check_address_map", argument: aTable, apply: (*session).checkAddressMap},

		{name: "reject_invalid_helo_hostname", apply: (*session).rejectInvalidHelo},
		{name: "reject_non_fqdn_helo_hostname", apply: (*session).rejectNonFQDNHelo},
		{name: "reject_unknown_helo_hostname", apply: (*session).rejectUnknownHelo, needs: needsDNS},
		{name: "check_helo_access", argument: aTable, apply: (*session).checkHeloAccess},
		{name: "check_etrn_access", argument: aTable, apply: (*session).checkEtrn},

		{name: "reject_non_fqdn_sender", apply: (*session).rejectNonFQDNSender},
		{name: "reject_unknown_sender_domain", apply: (*session).rejectUnknownSender, needs: needsDNS},
		{name: "reject_unlisted_sender", apply: (*session).rejectUnlistedSender},
		{name: "reject_unverified_sender", apply: (*session).rejectUnverifiedSender, needs: needsVerifier},
		{name: "check_sender_access", argument: aTable, apply: (*session).checkSender},
		{name: "reject_sender_login_mismatch", apply: (*session).rejectMismatch},
		{name: "reject_authenticated_sender_login_mismatch", apply: (*session).rejectAuthenticatedMismatch},
		{name: "reject_known_sender_login_mismatch", apply: (*session).rejectKnownMismatch},
		{name: "reject_unauthenticated_sender_login_mismatch", apply: (*session).rejectUnauthenticatedMismatch},

		{name: "permit_auth_destination", apply: (*session).permitAuthDestination},
		{name: "reject_unauth_destination", apply: (*session).rejectUnauthDestination},
		{name: "defer_unauth_destination", apply: (*session).deferUnauthDestination},
		{name: "reject_non_fqdn_recipient", apply: (*session).rejectNonFQDNRecipient},
		{name: "reject_unknown_recipient_domain", apply: (*session).rejectUnknownRecipient, needs: needsDNS},
		{name: "reject_unlisted_recipient", apply: (*session).rejectUnlistedRecipient},
		{name: "reject_unverified_recipient", apply: (*session).rejectUnverifiedRecipient, needs: needsVerifier},
		{name: "reject_multi_recipient_bounce", apply: (*session).rejectMultiRecipientBounce},
		{name: "check_recipient_access", argument: aTable, apply: (*session).checkRecipient},

		{name: "reject_rbl_client", argument: aList, apply: (*session).rejectListedAddress},
		{name: "permit_dnswl_client", argument: aList, apply: (*session).permitListedAddress},
		{name: "permit_rhswl_client", argument: aList, apply: (*session).permitListedClient},
	}
	rules = append(rules, listedRules()...)
	rules = append(rules, serverRules()...)
	byName := make(map[string]*rule, len(rules)+len(synonyms))
	for i := range rules {
		byName[rules[i].name] = &rules[i]
	}
	for old, today := range synonyms {
		byName[old] = byName[today]
	}
	return byName
}

func (s *session) permitAll(ctx context.Context, r *Restriction) outcome {
	return s.permitted(ctx, "permit", s.judged.about, "")
}

func (s *session) rejectAll(context.Context, *Restriction) outcome {
	return s.reject(s.judged.about, s.o.RejectCode, mail.Code(5, 7, 1), "Access denied")
}

func (s *session) deferAll(context.Context, *Restriction) outcome {
	return s.reject(s.judged.about, s.o.DeferCode, mail.Code(4, 3, 2), "Try again later")
}

// warnIfReject makes a warning of what the next restriction refuses.
func (s *session) warnIfReject(context.Context, *Restriction) outcome {
	if s.judged.warnOnly == 0 {
		s.judged.warnOnly = s.judged.depth
	}
	return dunno
}

func (s *session) deferIfPermit(context.Context, *Restriction) outcome {
	return s.deferLater(true, s.judged.about, 450, mail.Code(4, 7, 0), "defer_if_permit requested")
}

func (s *session) deferIfReject(context.Context, *Restriction) outcome {
	return s.deferRefusal(s.judged.about, 450, mail.Code(4, 7, 0), "defer_if_reject requested")
}

func (s *session) sleep(_ context.Context, r *Restriction) outcome {
	s.srv.pause(r.pause)
	return dunno
}

func (s *session) rejectPipelining(context.Context, *Restriction) outcome {
	if s.improper {
		return s.reject(s.judged.about, 503, mail.Code(5, 5, 0), "Improper use of SMTP command pipelining")
	}
	return dunno
}

func (s *session) applyClass(ctx context.Context, r *Restriction) outcome {
	return s.judge(ctx, r.class)
}

// nobody is what permits clients with a certificate: there are none.
func (s *session) nobody(context.Context, *Restriction) outcome { return dunno }
