package mtasts

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"aliasmx/internal/dns"
)

// Finding out what a domain publishes: its record by DNS, and then its policy by HTTPS.

// Resolver asks DNS. An error that is not dns.ErrNotFound means that nobody could say.
type Resolver interface {
	TXT(ctx context.Context, name string) ([]string, error)
	Addrs(ctx context.Context, host string, family dns.Family) ([]netip.Addr, error)
}

// fetchTime bounds a fetch, from the first question to the last byte (RFC 8461 section
// 3.3), and dialTime the connection to one of the addresses of a policy host.
const (
	fetchTime = time.Minute
	dialTime  = 15 * time.Second
	maxAddrs  = 8
)

var errTooLong = fmt.Errorf("it took more than %v", fetchTime)

// Fetcher asks for policies. Resolver is required. It keeps nothing, and is safe for
// concurrent use.
type Fetcher struct {
	Resolver Resolver
	// Family are the addresses of policy hosts that are tried (inet_protocols).
	Family dns.Family
	// Roots vouch for policy hosts and for mail exchangers (smtp_tls_mta_sts_CAfile); nil:
	// those of the system.
	Roots *x509.CertPool
	Dial  func(ctx context.Context, network, addr string) (net.Conn, error) // nil: the network
	Now   func() time.Time                                                  // nil: time.Now
}

// Failure is why a policy that a domain announces cannot be had.
type Failure struct {
	Result string // a result type of RFC 8460 section 4.3: "sts-policy-fetch-error"
	Err    error
}

func (f *Failure) Error() string { return f.Err.Error() }
func (f *Failure) Unwrap() error { return f.Err }

// What is wrong with a policy, in the words of RFC 8460 section 4.3.2.2.
const (
	resultFetch   = "sts-policy-fetch-error"
	resultInvalid = "sts-policy-invalid"
	resultWebPKI  = "sts-webpki-invalid"
)

// Record returns the id that a domain announces. It is ErrNoRecord if there is no record,
// a *Failure if there is one that cannot be read; any other error means that DNS had no
// answer.
func (f *Fetcher) Record(ctx context.Context, domain string) (id string, err error) {
	txts, err := f.Resolver.TXT(ctx, "_mta-sts."+domain)
	switch {
	case errors.Is(err, dns.ErrNotFound):
		return "", ErrNoRecord
	case err != nil:
		return "", err
	}
	id, err = ParseRecord(txts)
	if err != nil && err != ErrNoRecord {
		return "", &Failure{resultInvalid, err}
	}
	return id, err
}

// Policy fetches the policy of a domain, whose record is nobody's business here. Its error
// is a *Failure.
func (f *Fetcher) Policy(ctx context.Context, domain string) (Policy, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, fetchTime, errTooLong)
	defer cancel()
	file, err := f.get(ctx, domain)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		result := resultFetch
		var cert *tls.CertificateVerificationError
		if errors.As(err, &cert) {
			result, err = resultWebPKI, cert.Err
		}
		var asked *url.Error // names the URL a second time
		if errors.As(err, &asked) {
			err = asked.Err
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return Policy{}, &Failure{result, fmt.Errorf("fetch https://%s/.well-known/mta-sts.txt: %w", policyHost(domain), err)}
	}
	p, err := ParsePolicy(file)
	if err != nil {
		return Policy{}, &Failure{resultInvalid, err}
	}
	return p, nil
}

func policyHost(domain string) string { return "mta-sts." + domain }

// get is the request: no proxy, no cookies, no redirects (section 3.3), one connection.
func (f *Fetcher) get(ctx context.Context, domain string) ([]byte, error) {
	host := policyHost(domain)
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return f.connect(ctx, network, host)
		},
		TLSClientConfig:        &tls.Config{ServerName: host, RootCAs: f.Roots, MinVersion: tls.VersionTLS12, Time: f.Now},
		TLSHandshakeTimeout:    dialTime,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: MaxSize,
	}
	defer transport.CloseIdleConnections()
	client := http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/.well-known/mta-sts.txt", nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", "aliasmx")
	r.Header.Set("Accept", "text/plain")
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answers %s", short(resp.Status))
	}
	kind := resp.Header.Get("Content-Type")
	// A parameter that is malformed takes nothing from the type.
	if media, _, err := mime.ParseMediaType(kind); media != "text/plain" || err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return nil, fmt.Errorf("its type is %q, not text/plain", short(kind))
	}
	file, err := io.ReadAll(io.LimitReader(resp.Body, MaxSize+1))
	if err == nil && len(file) > MaxSize {
		err = fmt.Errorf("it is longer than %d bytes", MaxSize)
	}
	return file, err
}

// connect reaches the policy host at one of its addresses, by our own resolver.
func (f *Fetcher) connect(ctx context.Context, network, host string) (net.Conn, error) {
	addrs, err := f.Resolver.Addrs(ctx, host, f.Family)
	if err != nil {
		return nil, err
	}
	dial := f.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	for _, a := range addrs[:min(len(addrs), maxAddrs)] {
		one, cancel := context.WithTimeout(ctx, dialTime)
		conn, failed := dial(one, network, netip.AddrPortFrom(a, 443).String())
		cancel()
		if failed == nil {
			return conn, nil
		}
		err = cmp.Or(err, failed) // the first address is the one that is meant to work
		if ctx.Err() != nil {
			break
		}
	}
	return nil, err
}
