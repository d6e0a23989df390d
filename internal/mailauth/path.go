package mailauth

import (
	"context"
	"strings"

	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth/spf"
)

// pathCheck is SPF of a transaction, under way or done.
type pathCheck struct {
	cancel context.CancelFunc
	done   chan struct{}

	path spf.Result
	helo *spf.Result // nil: the reverse-path is null, and so path is about the HELO name
}

// checkPath begins to check the reverse-path and the HELO name.
func (v *Verifier) checkPath(ctx context.Context, r mail.AuthRequest) *pathCheck {
	p := &pathCheck{done: make(chan struct{})}
	if !v.o.SPF {
		p.cancel = func() {}
		close(p.done)
		return p
	}
	ctx, p.cancel = context.WithTimeout(ctx, v.o.Timeout)
	go func() {
		defer close(p.done)
		q := v.pathRequest(&r)
		if !r.Sender.IsNull() && strings.Contains(q.Helo, ".") {
			helo := make(chan spf.Result, 1)
			go func() { helo <- spf.CheckHelo(ctx, v.o.Resolver, q) }()
			defer func() { h := <-helo; p.helo = &h }()
		}
		p.path = spf.Check(ctx, v.o.Resolver, q)
	}()
	return p
}

// pathRequest is what SPF is asked about.
func (v *Verifier) pathRequest(r *mail.AuthRequest) spf.Request {
	return spf.Request{IP: r.Client.Addr, Helo: r.Client.Helo, Sender: r.Sender, Receiver: v.o.MyHostname, Now: v.o.Now}
}

// wait puts what was found into f. It ends when the check's own time is over.
func (p *pathCheck) wait(f *Findings) {
	<-p.done
	f.SPF, f.Helo = p.path, p.helo
}

// close ends the check. Nothing of it is under way after that.
func (p *pathCheck) close() {
	p.cancel()
	<-p.done
}

// pathDomain is the domain that SPF of the reverse-path is about, as an A-label in lower case.
func pathDomain(r *mail.AuthRequest) string {
	if r.Sender.IsNull() {
		return asciiDomain(r.Client.Helo)
	}
	return asciiDomain(r.Sender.Domain)
}
