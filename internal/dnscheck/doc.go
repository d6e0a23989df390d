// Package dnscheck judges what the DNS says of domains whose mail we forward, and of our
// own hosts: whether mail for them gets here, and whether what we send is believed.
//
//	c := dnscheck.New(dnscheck.Options{Resolver: r, Hostname: "mx.example.com", ...})
//	findings, hosts := c.Domain(ctx, "example.com")
//	findings = append(findings, c.Self(ctx)...)
//	for _, h := range hosts { findings = append(findings, c.Host(ctx, h)...) }
//
// # Terms
//
// A finding is one judgement about one thing: ok, note (nothing to do, but good to know),
// missing, wrong, or unknown: it could not be asked. With it come the records that would put
// it in order. Our addresses are those by which others reach us and see us: behind address
// translation the operator has to say them.
//
// # Invariants
//
//   - Findings are data; their text is one sentence for people.
//   - Trouble with the DNS or with a server is "unknown", never "missing" or "wrong".
//   - What cannot be decided with what is at hand is said to be undecided.
//   - What strangers publish is bounded before it is looked at; every question ends with
//     its context.
//
// It sends no mail, connects to no mail server and changes nothing.
package dnscheck
