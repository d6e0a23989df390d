// Package integration tests the built binary as its users meet it: driven by swaks,
// by its own sendmail, by Debian's Postfix as sending MTA and as next hop, and by
// go-smtp's client and server, with names from a small DNS server. Each test file is
// one behaviour. Everything runs on loopback.
//
// A program that a test needs and that is not installed fails the test with its
// name: run integration/test, which installs what is missing.
package integration
