package mail

import (
	"crypto/tls"
	"net/netip"
	"time"
)

// TLSLevel is how much is asked of a connection (postconf(5): smtp_tls_security_level).
type TLSLevel string

// The levels, from the least to the most. HalfDANE is DANE where the MX records are not
// signed and the host's TLSA records are (postconf(5): smtp_tls_dane_insecure_mx_policy).
const (
	TLSNone        TLSLevel = "none"
	TLSMay         TLSLevel = "may"
	TLSEncrypt     TLSLevel = "encrypt"
	TLSFingerprint TLSLevel = "fingerprint"
	TLSHalfDANE    TLSLevel = "half-dane"
	TLSDANE        TLSLevel = "dane"
	TLSDANEOnly    TLSLevel = "dane-only"
	TLSVerify      TLSLevel = "verify"
	TLSSecure      TLSLevel = "secure"
)

// Must tells whether a level forbids plain text.
func (l TLSLevel) Must() bool { return l != TLSNone && l != TLSMay }

// TLSPeer is a host that is about to be connected to, as whoever decides on its TLS sees it.
type TLSPeer struct {
	NextHop string // as the configuration writes it: "example.com", "[mx.example.com]:587", a socket's path
	Domain  string // of the next hop: a domain, a host, an address
	Host    string // the host's name; an address where the next hop is one
	Port    uint16 // 0: a socket
	ByMX    bool   // the host is a mail exchanger of Domain, by a record or for want of one; else it is named
	LMTP    bool
}

// TLSChoice is how a connection to a host is to be secured.
type TLSChoice struct {
	Level TLSLevel // what holds
	// Asked is the level of which Level is what is left (dane where there are no TLSA
	// records); "": the same.
	Asked TLSLevel
	// Verify, when not nil, judges the server by what it has shown: mail goes to it only
	// when the verdict is Matched. It is safe for concurrent use.
	Verify func(*tls.ConnectionState) TLSVerdict
	// Testing: the verdict is for reports alone, and mail goes whatever it is (RFC 8461
	// section 5.2).
	Testing bool
	// Result and Reason, when not empty, are what is already wrong, for reports, although the
	// connection may be made: TLSVerdict has their meaning.
	Result, Reason string
	// ServerName is told to the server (SNI); "": what the settings say.
	ServerName string
	// Versions are the least and most, Ciphers the suites of TLS 1.2; zeros: what the
	// settings say.
	Versions [2]uint16
	Ciphers  []uint16
	// Key stands for all that was verified. Connections to one address with the same level
	// and key are as good as each other, also for another next hop; "": with Verify, none is.
	Key string
	// Policies are those that the receiver has published, for reports (RFC 8460); none: it
	// has none.
	Policies []TLSPublished
}

// TLSVerdict is what a verification came to.
type TLSVerdict struct {
	Trusted bool // a trusted authority vouches for the certificate
	Matched bool // and it is the one that was asked for: mail may go
	// Reason says why not, for the log: "certificate has expired". Result is the same as a
	// result type of RFC 8460 section 4.3: "certificate-expired".
	Reason, Result string
	// Whose is the certificate that Reason speaks of, where the log names it: "server" or
	// "CA", an authority's between it and a root.
	Whose string
}

// TLSPublished is a policy of a receiver, as reports tell it (RFC 8460 section 4.4).
type TLSPublished struct {
	Type    string   // "tlsa" or "sts"
	Domain  string   // whose policy it is
	Strings []string // its lines, or TLSA records
	Hosts   []string // the patterns of an STS policy
	// Result and Reason, when not empty, are what was wrong with the policy itself:
	// "sts-policy-fetch-error".
	Result, Reason string
}

// TLSError is why no connection is made to a host: its policy cannot be kept there.
type TLSError struct {
	Status Status // of class 4: it may be otherwise later, or at another host
	Result string // a result type of RFC 8460 section 4.3; "": none
}

func (e *TLSError) Error() string { return e.Status.Text }

// Unwrap gives the Status to whoever looks for one.
func (e *TLSError) Unwrap() error { return &e.Status }

// TLSSession is what became of the TLS of one connection (RFC 8460).
type TLSSession struct {
	At       time.Time
	Peer     TLSPeer
	Policies []TLSPublished
	Helo     string     // how the server introduced itself: the first word of its greeting
	Resumed  bool       // an earlier session was resumed
	Local    netip.Addr // ours
	Remote   netip.Addr
	Result   string // a result type of RFC 8460 section 4.3; "": success
	Reason   string // for those who read the report; "": none
}
