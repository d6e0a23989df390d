package mail

import "testing"

func TestIsHeldBy(t *testing.T) {
	for _, tc := range []struct {
		dest, held Dest
		want       bool
	}{
		{"smtp:example.com", "smtp:example.com", true},
		{"smtp:example.com", "SMTP:Example.COM", true},
		{"smtp:example.com", "example.com", true},
		{"relay:example.com", "example.com", true},
		{"relay:example.com", "smtp:example.com", false},
		{"smtp:mx.example.com", "example.com", false},
		{"smtp:[192.0.2.1]:25", "[192.0.2.1]:25", true},
		{"smtp:[192.0.2.1]:25", "[192.0.2.1]", false},
		{"smtp:", "", true},
		{"smtp:example.com", "", false},
		{"smtp:example.com", "smtp", false},
	} {
		if got := tc.dest.IsHeldBy(tc.held); got != tc.want {
			t.Errorf("%s held by %s: %v, want %v", tc.dest, tc.held, got, tc.want)
		}
	}
}
