package login

import (
	"strings"
	"testing"
)

// cheap hashes of "secret", as crypt(5) writes them.
const (
	cheapBcrypt = "$2b$04$" // completed by bcryptOf
	cheapArgon  = "$argon2id$v=19$m=64,t=1,p=1$"
)

// cheap is an argon2id hash that costs next to nothing.
func cheap(password string) string {
	h := &hash{memory: 64, time: 1, threads: 1, salt: []byte("saltsaltsalt"), sum: make([]byte, 32)}
	h.sum = h.key(password)
	return h.String()
}

func bcryptOf(t testing.TB, password string) string {
	t.Helper()
	s, err := Bcrypt(password, 4)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestHashes(t *testing.T) {
	ours, err := Argon2id("secret")
	if err != nil || !strings.HasPrefix(ours, "$argon2id$v=19$m=65536,t=3,p=1$") {
		t.Fatal(ours, err)
	}
	b := bcryptOf(t, "secret")
	if !strings.HasPrefix(b, "$2a$04$") && !strings.HasPrefix(b, cheapBcrypt) {
		t.Fatal(b)
	}
	for name, text := range map[string]string{
		"ours":             ours,
		"cheap":            cheap("secret"),
		"bcrypt":           b,
		"bcrypt of 2y":     "$2y" + b[3:],
		"dovecot argon2id": "{ARGON2ID}" + cheap("secret"),
		"dovecot bcrypt":   "{BLF-CRYPT}" + b,
		"spaces":           "  " + b + " ",
		// By argon2(1): printf secret | argon2 saltsalt -id -t 1 -k 64 -p 2 -e would do.
	} {
		t.Run(name, func(t *testing.T) {
			h, err := parseHash(text)
			if err != nil {
				t.Fatal(err)
			}
			if !h.matches("secret") || h.matches("Secret") || h.matches("") {
				t.Error("the hash of secret does not match just that")
			}
			if h.decoy().matches("secret") {
				t.Error("the decoy matches")
			}
			if d := h.decoy(); d.memory != h.memory || d.time != h.time || len(d.text) != len(h.text) || len(d.text) > 7 && d.text[:7] != h.text[:7] {
				t.Errorf("the decoy %s costs something else than %s", d, h)
			}
		})
	}
	if (*hash)(nil).decoy().memory != 64<<10 {
		t.Error("without any hash the decoy is none of ours")
	}
}

// TestForeignHashes were made by other programs: argon2 of Debian's package, htpasswd, and
// the test vectors of bcrypt's OpenBSD source.
func TestForeignHashes(t *testing.T) {
	for _, c := range []struct{ password, text string }{
		{"U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"},
		{"", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"},
		// The reference implementation's test.c: argon2id, 2^8 KiB, t=2, p=1.
		{"password", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"},
	} {
		h, err := parseHash(c.text)
		if err != nil || !h.matches(c.password) {
			t.Errorf("%s does not match %q: %v", c.text, c.password, err)
		}
	}
}

func TestBadHashes(t *testing.T) {
	good := cheap("secret")
	for name, text := range map[string]string{
		"empty":         "",
		"plain":         "secret",
		"sha512":        "$6$rounds=5000$usesomesillystri$KqJWpanXZHKq2BOB43TSaYhEWsQ1Lr5QNyPCDH/Tp.6",
		"short bcrypt":  "$2b$04$abcdefgh",
		"costly bcrypt": "$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
		"version":       strings.Replace(good, "v=19", "v=16", 1),
		"much memory":   strings.Replace(good, "m=64", "m=4194304", 1),
		"much time":     strings.Replace(good, "t=1", "t=1000", 1),
		"many threads":  strings.Replace(good, "p=1", "p=200", 1),
		"no time":       strings.Replace(good, "t=1", "t=0", 1),
		"no sum":        good[:strings.LastIndexByte(good, '$')+1],
		"no field":      good[:strings.LastIndexByte(good, '$')],
		"order":         strings.Replace(good, "m=64,t=1", "t=1,m=64", 1),
		"plain scheme":  "{PLAIN}secret",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseHash(text)
			if err == nil {
				t.Fatalf("%s was taken", text)
			}
			if text != "" && strings.Contains(err.Error(), text) {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
	if _, err := Bcrypt(strings.Repeat("x", 73), 4); err == nil {
		t.Error("bcrypt took 73 bytes")
	}
	for _, cost := range []int{3, 17} {
		if _, err := Bcrypt("secret", cost); err == nil {
			t.Errorf("bcrypt took the cost %d", cost)
		}
	}
}

// FuzzParseHash: what is taken is bounded in cost and reads back as itself.
func FuzzParseHash(f *testing.F) {
	for _, s := range []string{cheap("x"), "$2b$04$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", cheapArgon, "{CRYPT}$2y$", "$argon2i$v=19$m=8,t=1,p=1$$"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parseHash(s)
		if err != nil {
			return
		}
		if h.memory > maxMemory || h.time > maxTime || h.threads > maxThreads {
			t.Fatalf("%q costs too much", s)
		}
		again, err := parseHash(h.String())
		if err != nil || again.String() != h.String() {
			t.Fatalf("%q: %s, %v", s, h, err)
		}
	})
}
