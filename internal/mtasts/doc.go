// Package mtasts keeps the policies by which domains say that mail to them has to travel
// over verified TLS (RFC 8461, MTA-STS), and tells what such a policy asks of a connection.
//
// A domain announces its policy by a record (TXT at _mta-sts.DOMAIN) that has an id, and
// publishes it as a file at https://mta-sts.DOMAIN/.well-known/mta-sts.txt:
//
//	version: STSv1
//	mode: enforce
//	mx: mx1.example.com
//	mx: *.backup.example.net
//	max_age: 604800
//
// The policy domain is the domain of the next hop. Its policy is kept for max_age: until
// then it holds, whatever has become of the record and of the file, so that nobody who can
// make either disappear can make us forget it. A new id means that there is a new policy.
//
// Invariants. What cannot be fetched is no policy, and mail goes as if there were none
// (section 5); but a policy that is known is kept until it expires or another takes its
// place. Only what came over HTTPS, under a certificate for mta-sts.DOMAIN, is a policy.
//
// It does not connect to mail servers, and leaves alone who was named by the operator:
// only mail exchangers of a domain can be what its policy is about.
package mtasts
