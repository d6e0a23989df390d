package dane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
)

// Resolver answers questions and tells which answers are secure. It is safe for concurrent
// use, waits no longer than ctx lives, and keeps what it has learned.
type Resolver interface {
	// Query is that of dns.Resolver: an error that is dns.ErrNotFound comes with an Answer.
	Query(ctx context.Context, name string, qtype uint16) (dns.Answer, error)
}

// Options of a DANE. Only Names is needed.
type Options struct {
	// Names is asked for everything. Without answers that are secure there is no DANE.
	Names Resolver
	// Family is which addresses are connected to (postconf(5): inet_protocols).
	Family dns.Family
	// InsecureMX is what becomes of a host with usable records whose MX records are not
	// secure: TLSDANE has its certificate verified all the same (half-dane), TLSEncrypt has
	// it get TLS, TLSMay does not even look (postconf(5): smtp_tls_dane_insecure_mx_policy);
	// "": TLSDANE.
	InsecureMX mail.TLSLevel
	// ForceInsecureHost asks for the records of hosts whose addresses are not secure
	// (postconf(5): smtp_tls_force_insecure_host_tlsa_lookup).
	ForceInsecureHost bool
	// Digests are those that count, the best first (postconf(5): tls_dane_digests); nil:
	// sha512 and sha256.
	Digests []Digest
	// Log hears of records that cannot be used and of lookups that fail; nil: nobody does.
	Log *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// DANE chooses TLS by TLSA records. It is safe for concurrent use.
type DANE struct {
	o    Options
	told told
}

// New makes a DANE.
func New(o Options) *DANE {
	if o.InsecureMX == "" {
		o.InsecureMX = mail.TLSDANE
	}
	if o.Digests == nil {
		o.Digests = defaultDigests()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &DANE{o: o, told: told{now: o.Now, log: o.Log}}
}

// Why DANE does not hold for a host, in Postfix's words. They are a choice's Reason.
const (
	ReasonInsecureMX = "non DNSSEC destination"
	ReasonNoRecords  = "no TLSA records found"
	ReasonUnusable   = "TLSA records unusable"
	ReasonUnverified = "Verification not possible, MX RRset is insecure"
)

// TLS says how to secure a connection to a host. The level is
//
//   - TLSDANE or, where the MX records are not secure, TLSHalfDANE: Verify is set;
//   - TLSEncrypt: there are records, but nothing can be verified by them;
//   - TLSMay: there is no DANE. A host without a name has none, and neither has a socket.
//
// The last two have a Reason, and Asked is TLSDANE. An error is a *mail.TLSError, for a
// lookup that had no answer.
func (d *DANE) TLS(ctx context.Context, peer mail.TLSPeer) (mail.TLSChoice, error) {
	if _, err := netip.ParseAddr(peer.Host); err == nil || peer.Port == 0 {
		return without(mail.TLSMay, ReasonNoRecords), nil
	}
	q := query{DANE: d, ctx: ctx, peer: peer}
	found, err := q.find()
	if err != nil {
		return mail.TLSChoice{Policies: []mail.TLSPublished{{Type: "tlsa", Domain: canonical(peer.Host)}}}, &mail.TLSError{
			Status: mail.Status{Enhanced: mail.Code(4, 7, 5), Text: fmt.Sprintf("TLSA lookup error for %s:%d", peer.Host, peer.Port)},
			Result: resultDNSSEC,
		}
	}
	if len(found.records) == 0 {
		if !found.secureMX && d.o.InsecureMX == mail.TLSMay {
			return without(mail.TLSMay, ReasonInsecureMX), nil
		}
		return without(mail.TLSMay, ReasonNoRecords), nil
	}
	published := []mail.TLSPublished{{Type: "tlsa", Domain: found.base, Strings: texts(found.records)}}
	usable := d.usable(found.owner, found.records)
	var choice mail.TLSChoice
	switch {
	case len(usable) == 0:
		d.told.once(found.owner + ": all TLSA records unusable")
		choice = without(mail.TLSEncrypt, ReasonUnusable)
		choice.Result = resultTLSA
	case !found.secureMX && d.o.InsecureMX == mail.TLSEncrypt:
		choice = without(mail.TLSEncrypt, ReasonUnverified)
	default:
		v := newVerifier(usable, found.names, d.o.Digests, d.o.Now)
		choice = mail.TLSChoice{Level: mail.TLSDANE, Verify: v.verify, ServerName: found.base, Key: v.key(found.base)}
		if !found.secureMX {
			choice.Level, choice.Asked = mail.TLSHalfDANE, mail.TLSDANE
		}
	}
	choice.Policies = published
	return choice, nil
}

func without(level mail.TLSLevel, reason string) mail.TLSChoice {
	return mail.TLSChoice{Level: level, Asked: mail.TLSDANE, Reason: reason}
}

// Result types of RFC 8460 sections 4.3.1 and 4.3.2.1.
const (
	resultDNSSEC   = "dnssec-invalid"
	resultTLSA     = "tlsa-invalid"
	resultExpired  = "certificate-expired"
	resultMismatch = "certificate-host-mismatch"
	resultTrust    = "certificate-not-trusted"
	resultOther    = "validation-failure"
)

// isNone tells an answer that there is nothing from none.
func isNone(err error) bool { return errors.Is(err, dns.ErrNotFound) || errors.Is(err, dns.ErrNullMX) }
