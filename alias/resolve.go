package alias

import (
	"context"
	"strconv"
	"strings"

	"aliasmx/internal/mail"
)

// Resolving: from an address to its class, its transport and its next hop, as
// trivial-rewrite(8) does it and ADDRESS_CLASS_README describes it.

// route is where an address goes.
type route struct {
	final mail.Address // without what routing through ourselves it had
	class mail.Class
	dest  mail.Dest
	// routed: the local part holds @, % or !, which the next host may follow elsewhere.
	routed bool
	// malformed: mail cannot be sent to such an address at all.
	malformed bool
	by        hit // in transport_maps or relocated_maps, if one of them says so
}

// resolve finds the route of a completed address, for mail from sender. An error is a
// *mail.Status.
func (r *Resolver) resolve(ctx context.Context, sender, a mail.Address) (route, error) {
	rt, err := r.classify(ctx, a)
	if err != nil {
		return route{}, err
	}
	if rt.malformed {
		rt.dest = "error:5.1.3 bad address syntax"
		return rt, nil
	}
	if rt.dest, err = r.destination(ctx, rt.class, rt.final.Domain, sender); err != nil {
		return route{}, err
	}
	return rt, r.override(ctx, &rt)
}

// classify finds all of a route but the destination.
func (r *Resolver) classify(ctx context.Context, a mail.Address) (route, error) {
	a, local, err := r.stripOwn(ctx, a)
	if err != nil {
		return route{}, err
	}
	rt := route{final: a, malformed: r.isMalformed(a)}
	if rt.malformed && !isDomain(a.Domain) {
		return rt, nil
	}
	rt.routed = strings.ContainsAny(a.Local, "@!%")
	rt.class = mail.ClassLocal
	if !local {
		if rt.class, err = r.remoteClass(ctx, a.Domain); err != nil {
			return route{}, err
		}
	}
	r.warnTwice(ctx, rt.class, rt.final.Domain)
	return rt, nil
}

// isMalformed tells the addresses that no mail can be sent to. One without a domain is
// none of them: it will be given one.
func (r *Resolver) isMalformed(a mail.Address) bool {
	if !r.o.AllowMinUser && strings.HasPrefix(a.Local, "-") {
		return true
	}
	if a.Domain == "" {
		return strings.HasSuffix(a.Local, "@")
	}
	return !isDomain(a.Domain)
}

// stripOwn takes off what routes mail through ourselves (user%elsewhere@ours,
// elsewhere!user@ours), and tells whether what is left is local. Postfix looks into
// quoted local parts too, or they could be used to relay.
func (r *Resolver) stripOwn(ctx context.Context, a mail.Address) (mail.Address, bool, error) {
	own := "" // the last local domain that was taken off
	// Each round takes at least a byte off or gives the missing domain.
	for rounds := len(a.Local) + len(a.Domain) + 100; rounds > 0; rounds-- {
		if a.Domain != "" {
			local, err := r.isLocal(ctx, a.Domain)
			if err != nil {
				return a, false, err
			}
			if !local {
				return a, false, nil
			}
			own, a.Domain = a.Domain, ""
		} else if strings.HasSuffix(a.Local, "@") {
			return a, false, nil // "user@": malformed
		}
		if inner, ok := r.unroute(a.Local); ok {
			a = inner
			continue
		}
		switch {
		case a.Local == "":
			a = r.emptyRecipient
		case own == "":
			a.Domain = r.o.MyHostname
		default:
			a.Domain = own
			return a, true, nil
		}
	}
	return a, false, lookupFailure()
}

// unroute reads a local part that is an address itself.
func (r *Resolver) unroute(local string) (mail.Address, bool) {
	if at := strings.LastIndexByte(local, '@'); at >= 0 {
		return r.Complete(splitInternal(local)), true
	}
	bang := r.o.SwapBangpath && strings.IndexByte(local, '!') >= 0
	percent := r.o.AllowPercentHack && strings.IndexByte(local, '%') >= 0
	if !bang && !percent {
		return mail.Address{}, false
	}
	if a := (mail.Address{Local: local}); a.String() == local {
		return r.Complete(a), true // not quoted: swap_bangpath goes first
	}
	if percent {
		i := strings.LastIndexByte(local, '%')
		return r.Complete(splitInternal(local[:i] + "@" + local[i+1:])), true
	}
	site, user, _ := strings.Cut(local, "!")
	return r.Complete(mail.Address{Local: user, Domain: site}), true
}

// remoteClass is the class of a domain that is not local.
func (r *Resolver) remoteClass(ctx context.Context, domain string) (mail.Class, error) {
	for _, l := range r.classLists()[1:] {
		if found, err := r.inList(ctx, l.list, l.name, domain); found || err != nil {
			return l.class, err
		}
	}
	if r.holdsReturns(domain) {
		return mail.ClassVirtualAlias, nil
	}
	return mail.ClassDefault, nil
}

// destination is the transport and next hop of a domain of some class, for mail from
// sender, before the address itself is looked at. An error is a *mail.Status.
func (r *Resolver) destination(ctx context.Context, class mail.Class, domain string, sender mail.Address) (mail.Dest, error) {
	transport, nextHop := r.o.DefaultTransport, strings.ToLower(domain)
	switch class {
	case mail.ClassVirtualAlias:
		// Whoever gets here was not aliased to anywhere else.
		return mail.MakeDest("error", "5.1.1 "+r.unknownText(class)), nil
	case mail.ClassLocal:
		transport = r.o.LocalTransport
	case mail.ClassVirtualMailbox:
		transport = r.o.VirtualTransport
	case mail.ClassRelay:
		transport = r.o.RelayTransport
	case mail.ClassDefault:
		special, err := r.bySender(ctx, "sender_dependent_default_transport_maps", r.senderDef, sender, r.o.NullSenderTransportKey)
		if err != nil {
			return "", err
		}
		setDefault(&special, transport)
		transport = special
	}
	if class == mail.ClassDefault || class == mail.ClassRelay {
		relay, err := r.bySender(ctx, "sender_dependent_relayhost_maps", r.senderRelay, sender, r.o.NullSenderRelayHostKey)
		if err != nil {
			return "", err
		}
		setDefault(&relay, r.o.RelayHost)
		setDefault(&relay, nextHop)
		nextHop = relay
	}
	name, explicit, _ := strings.Cut(transport, ":")
	if name == "virtual" || name == "local" && !r.o.LocalDelivery {
		// There is no delivery to mailboxes here (virtual(8)).
		return mail.MakeDest("error", "5.1.1 "+r.unknownText(class)), nil
	}
	if explicit != "" {
		nextHop = explicit
	}
	return mail.MakeDest(name, nextHop), nil
}

// unknownText is what is said of a user that a class does not have.
func (r *Resolver) unknownText(class mail.Class) string {
	switch {
	case r.o.HideTableName:
		return "User unknown"
	case class == mail.ClassLocal:
		return "User unknown in local recipient table"
	case class == mail.ClassVirtualMailbox:
		return "User unknown in virtual mailbox table"
	case class == mail.ClassRelay:
		return "User unknown in relay recipient table"
	}
	return "User unknown in virtual alias table"
}

// Dest is where mail for an address goes that is not aliased any further. A list that
// cannot be asked makes it wait: "retry:".
func (r *Resolver) Dest(a mail.Address) mail.Dest {
	ctx, cancel := context.WithTimeout(context.Background(), unattended)
	defer cancel()
	rt, err := r.resolve(ctx, mail.Address{}, r.Complete(a))
	if err != nil {
		return "retry:4.3.0 address resolver failure"
	}
	return rt.dest
}

// splitStatus parts an enhanced status code from the text of an error: or retry:
// destination, as error(8) writes them: "5.1.1 User unknown".
func splitStatus(text string, def mail.Enhanced) (mail.Enhanced, string) {
	code, rest, _ := strings.Cut(text, " ")
	parts := strings.Split(code, ".")
	if len(parts) != 3 || len(parts[0]) != 1 || strings.IndexByte("245", parts[0][0]) < 0 {
		return def, text
	}
	var e mail.Enhanced
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n > 999 {
			return def, text
		}
		e[i] = uint16(n)
	}
	return e, strings.TrimLeft(rest, " ")
}
