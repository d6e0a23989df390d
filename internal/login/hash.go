package login

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Hashes of passwords as crypt(5) writes them: argon2id and argon2i (RFC 9106) and bcrypt.
// Dovecot's {SCHEME} in front is taken off.

// hash is a hash that was read. The zero value is none.
type hash struct {
	text string // of bcrypt, whole

	argon2i      bool
	memory, time uint32 // KiB, passes
	threads      uint8
	salt, sum    []byte
}

// What a hash in a table may cost at most: it is computed for everybody who knocks.
const (
	maxMemory  = 256 << 10 // KiB
	maxTime    = 32
	maxThreads = 16
	maxCost    = 16 // of bcrypt: some seconds
)

var (
	errNoHash = errors.New("is no hash of a password: make one with \"aliasmx passwd\"")
	errCostly = fmt.Errorf("is a hash that costs too much: at most m=%d,t=%d,p=%d, bcrypt %d", maxMemory, maxTime, maxThreads, maxCost)
)

// parseHash reads the value of a table.
func parseHash(s string) (*hash, error) {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "{") {
		scheme, rest, _ := strings.Cut(s, "}")
		switch strings.ToUpper(scheme) {
		case "{ARGON2ID", "{ARGON2I", "{BLF-CRYPT", "{CRYPT":
			s = rest
		}
	}
	switch {
	case strings.HasPrefix(s, "$argon2id$"), strings.HasPrefix(s, "$argon2i$"):
		return parseArgon2(s)
	case strings.HasPrefix(s, "$2a$"), strings.HasPrefix(s, "$2b$"), strings.HasPrefix(s, "$2y$"):
		cost, err := bcrypt.Cost([]byte(s))
		switch {
		case err != nil || len(s) != 60:
			return nil, errNoHash
		case cost > maxCost:
			return nil, errCostly
		}
		return &hash{text: s}, nil
	}
	return nil, errNoHash
}

// parseArgon2 reads $argon2id$v=19$m=65536,t=3,p=1$SALT$SUM.
func parseArgon2(s string) (*hash, error) {
	f := strings.Split(s, "$")
	if len(f) != 6 || f[2] != "v="+strconv.Itoa(argon2.Version) {
		return nil, errNoHash
	}
	h := &hash{argon2i: f[1] == "argon2i"}
	var numbers [3]uint64
	costs := strings.Split(f[3], ",")
	if len(costs) != 3 {
		return nil, errNoHash
	}
	for i, prefix := range []string{"m=", "t=", "p="} {
		digits, ok := strings.CutPrefix(costs[i], prefix)
		n, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil || n == 0 {
			return nil, errNoHash
		}
		numbers[i] = n
	}
	if numbers[0] > maxMemory || numbers[1] > maxTime || numbers[2] > maxThreads {
		return nil, errCostly
	}
	h.memory, h.time, h.threads = uint32(numbers[0]), uint32(numbers[1]), uint8(numbers[2])
	var err1, err2 error
	h.salt, err1 = base64.RawStdEncoding.Strict().DecodeString(f[4])
	h.sum, err2 = base64.RawStdEncoding.Strict().DecodeString(f[5])
	if err1 != nil || err2 != nil || len(h.salt) < 8 || len(h.salt) > 64 || len(h.sum) < 16 || len(h.sum) > 128 {
		return nil, errNoHash
	}
	return h, nil
}

// matches tells whether it is the hash of a password. It takes as long when it is not.
func (h *hash) matches(password string) bool {
	if h.text != "" {
		return bcrypt.CompareHashAndPassword([]byte(h.text), []byte(password)) == nil
	}
	return subtle.ConstantTimeCompare(h.key(password), h.sum) == 1
}

func (h *hash) key(password string) []byte {
	if h.argon2i {
		return argon2.Key([]byte(password), h.salt, h.time, h.memory, h.threads, uint32(len(h.sum)))
	}
	return argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.threads, uint32(len(h.sum)))
}

func (h *hash) String() string {
	if h.text != "" {
		return h.text
	}
	kind, b64 := "argon2id", base64.RawStdEncoding
	if h.argon2i {
		kind = "argon2i"
	}
	return fmt.Sprintf("$%s$v=%d$m=%d,t=%d,p=%d$%s$%s", kind, argon2.Version, h.memory, h.time, h.threads,
		b64.EncodeToString(h.salt), b64.EncodeToString(h.sum))
}

// Argon2id makes a hash with the costs of RFC 9106 section 4, second choice, on one
// thread: 64 MiB, three passes.
func Argon2id(password string) (string, error) {
	h := &hash{memory: 64 << 10, time: 3, threads: 1, salt: make([]byte, 16), sum: make([]byte, 32)}
	if _, err := rand.Read(h.salt); err != nil {
		return "", err
	}
	h.sum = h.key(password)
	return h.String(), nil
}

// Bcrypt makes a hash for programs that know no other. It takes 72 bytes at most.
func Bcrypt(password string, cost int) (string, error) {
	if cost < bcrypt.MinCost || cost > maxCost {
		return "", fmt.Errorf("bcrypt: cost %d is not between %d and %d", cost, bcrypt.MinCost, maxCost)
	}
	b, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	return string(b), err
}

// decoy is a hash of the same costs that no password has, for who is not in the table.
func (h *hash) decoy() *hash {
	if h == nil {
		return &hash{memory: 64 << 10, time: 3, threads: 1, salt: make([]byte, 16), sum: make([]byte, 32)}
	}
	d := *h
	if d.text != "" {
		// The salt stays what it is; a sum of dots is nobody's.
		d.text = d.text[:29] + strings.Repeat(".", 31)
		return &d
	}
	d.sum = make([]byte, len(h.sum))
	return &d
}
