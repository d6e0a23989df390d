package smuggle

import "testing"

func TestShort(t *testing.T) {
	seen := map[string]bool{}
	for s := range Short(3) {
		seen[s] = true
	}
	if len(seen) != 1+5+25+125 || !seen[""] || !seen["\n.\n"] || !seen["\r\x00x"] {
		t.Errorf("%d strings", len(seen))
	}
}

func TestOwnHasNoProperEnd(t *testing.T) {
	names := map[string]bool{}
	for _, s := range Own() {
		if _, _, ended := Strict().Split("x" + s.Bytes + "y"); ended || names[s.Name] {
			t.Errorf("%s: %q", s.Name, s.Bytes)
		}
		names[s.Name] = true
	}
}

func TestSplit(t *testing.T) {
	takesLF := Server{Ends: []string{"\r\n.\r\n", "\n.\n"}}
	for _, tt := range []struct {
		s                       Server
		sent, message, commands string
		ended                   bool
	}{
		{Strict(), "a\r\n.\r\nQUIT\r\n", "a", "QUIT\r\n", true},
		{Strict(), ".\r\nQUIT\r\n", "", "QUIT\r\n", true},
		{Strict(), "a\n.\nb\r\n", "", "", false},
		{Strict(), "a\r\n..\r\n.\r\n", "a\r\n..", "", true},
		{takesLF, "a\n.\nb\r\n.\r\n", "a", "b\r\n.\r\n", true},
		{takesLF, "a\r\n.\r\nb\n.\n", "a", "b\n.\n", true},
		{Server{Ends: []string{"\r\n.\r\n"}, Drops: "\x00"}, "a\r\n\x00.\r\nb", "a", "b", true},
		{Server{Ends: []string{"\n.\n"}, Drops: "\r"}, "a\r\r\n\r.\r\r\nb", "a", "b", true},
		{Server{Ends: []string{"\n.\n"}, Drops: "\r"}, ".\r\nb", "", "b", true},
	} {
		message, commands, ended := tt.s.Split(tt.sent)
		if ended != tt.ended || ended && commands != tt.commands || ended && message != tt.message {
			t.Errorf("%v: %q: %q, %q, %v", tt.s, tt.sent, message, commands, ended)
		}
	}
	for _, s := range Lax() {
		if _, rest, ended := s.Split("a\r\n.\r\nb"); !ended || rest != "b" {
			t.Errorf("%s does not know the proper end", s.Name)
		}
	}
}

// Where only our own sequences are tried, the public ones are among them.
func TestOwnHasThePublicOnes(t *testing.T) {
	own := map[string]bool{}
	for _, s := range Own() {
		own[s.Bytes] = true
	}
	for _, s := range Public(t) {
		if !own[s.Bytes] {
			t.Errorf("%s: %q", s.Name, s.Bytes)
		}
	}
}
