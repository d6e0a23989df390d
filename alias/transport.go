package alias

import (
	"context"
	"strings"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

// What overrides the transport and the next hop of an address class: transport(5),
// tables by sender, relocated(5). The order is that of trivial-rewrite(8).

// bySender is what a sender-dependent table has for a reverse-path, "" for nothing.
func (r *Resolver) bySender(ctx context.Context, parameter string, in searched, sender mail.Address, nullKey string) (string, error) {
	if len(in.whole) == 0 {
		return "", nil
	}
	var h hit
	var found bool
	var err error
	if sender.IsNull() {
		h, found, err = r.lookup(ctx, in.whole, nullKey)
	} else {
		h, found, err = r.find(ctx, in, sender)
	}
	if err != nil {
		r.log.Warn(parameter + " lookup failure")
		return "", err
	}
	if !found || strings.EqualFold(h.value, "DUNNO") {
		return "", nil
	}
	return h.value, nil
}

// override applies transport_maps and relocated_maps to a route. An error is a
// *mail.Status.
func (r *Resolver) override(ctx context.Context, rt *route) error {
	if len(r.transports.whole) > 0 && rt.class != mail.ClassVirtualAlias {
		h, found, err := r.findTransport(ctx, rt.final)
		if err != nil {
			r.log.Warn("transport_maps lookup failure")
			return err
		}
		if found {
			rt.dest, rt.by = rt.entry(h.value), h
		}
	}
	if len(r.relocated.whole) == 0 {
		return nil
	}
	h, found, err := r.find(ctx, r.relocated, rt.final)
	if err != nil {
		r.log.Warn("relocated_maps lookup failure")
		return err
	}
	if found {
		rt.dest, rt.by = r.moved(h.value), h
	}
	return nil
}

// entry reads the right-hand side of transport(5): transport:nexthop, either of which
// may be missing. Without a transport the one there was stays; a transport without next
// hop means the recipient's domain.
func (rt *route) entry(value string) mail.Dest {
	transport, nextHop, _ := strings.Cut(value, ":")
	switch {
	case transport == "" && nextHop == "":
		return rt.dest
	case transport == "":
		transport = rt.dest.Transport()
	case nextHop == "" && (transport == "error" || transport == "retry"):
		nextHop = "Address is undeliverable"
	case nextHop == "":
		nextHop = strings.ToLower(rt.final.Domain)
	}
	return mail.MakeDest(transport, nextHop)
}

// findTransport looks an address up in transport_maps: the whole address, without its
// extension, the domain, its parents, and "*".
func (r *Resolver) findTransport(ctx context.Context, a mail.Address) (hit, bool, error) {
	in := r.transports
	try := func(tables []table.Table, key string) (hit, bool, error) { return r.lookup(ctx, tables, key) }
	h, found, err := try(in.whole, external(a))
	if found || err != nil {
		return h, found, err
	}
	if bare, extension := r.splitExtension(a.Local); extension != "" {
		if h, found, err = try(in.partial, mail.Address{Local: bare, Domain: a.Domain}.String()); found || err != nil {
			return h, found, err
		}
	}
	for name := a.Domain; name != ""; {
		if h, found, err = try(in.partial, name); found || err != nil {
			return h, found, err
		}
		dot := strings.IndexByte(name[1:], '.')
		if dot < 0 {
			break
		}
		name = name[1+dot:]
		if r.o.TransportSubdomains {
			name = name[1:]
		}
	}
	return try(in.whole, "*")
}

// moved is the destination of somebody who is in relocated_maps.
func (r *Resolver) moved(value string) mail.Dest {
	if !r.o.NoRelocatedPrefix {
		// 5.1.6 is the closest match: "mailbox has moved, no forwarding address".
		return mail.MakeDest("error", "5.1.6 User has moved to "+value)
	}
	code, text := splitStatus(value, mail.Enhanced{})
	if code == (mail.Enhanced{}) || text == "" {
		r.log.Warn("relocated_maps result must contain RFC 3463 status and text: '" + value[:min(len(value), 100)] + "'")
		return mail.MakeDest("error", "5.2.0 Mailbox is unavailable")
	}
	return mail.MakeDest("error", code.String()+" "+text)
}
