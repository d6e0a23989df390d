package authres

import (
	"testing"

	"aliasmx/internal/mail"
)

// benchMethods are the results of a message as most are.
func benchMethods() []Method {
	return []Method{
		{Name: "dmarc", Result: mail.AuthPass, Comment: "p=reject dis=none", Properties: []Property{{"header", "from", "a.example"}}},
		{Name: "spf", Result: mail.AuthPass, Properties: []Property{{"smtp", "mailfrom", "bounces@a.example"}}},
		{Name: "spf", Result: mail.AuthPass, Properties: []Property{{"smtp", "helo", "mx.a.example"}}},
		{Name: "dkim", Result: mail.AuthPass, Properties: []Property{
			{"header", "d", "a.example"}, {"header", "i", "@a.example"}, {"header", "s", "2026a"}, {"header", "a", "rsa-sha256"}, {"header", "b", "ab/+cd=="}}},
	}
}

func BenchmarkFormat(b *testing.B) {
	methods := benchMethods()
	b.ReportAllocs()
	for b.Loop() {
		Format("mx.own.example", methods)
	}
}

func BenchmarkResults(b *testing.B) {
	methods := benchMethods()
	b.ReportAllocs()
	for b.Loop() {
		Results(methods)
	}
}

// BenchmarkOurs is asked of each field of each message.
func BenchmarkOurs(b *testing.B) {
	theirs, other := Format("mx.other.example", benchMethods()), []byte("Subject: hello\r\n")
	b.ReportAllocs()
	for b.Loop() {
		if Ours(theirs, "mx.own.example") || Ours(other, "mx.own.example") {
			b.Fatal("not ours")
		}
	}
}
