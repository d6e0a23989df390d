package delivery

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"

	"aliasmx/internal/mail"
)

// Passwords that a server has refused with 535. Providers lock out whoever tries a wrong
// password again and again, so it is not tried again until its time is over or the table
// has another (postconf(5): smtp_sasl_auth_cache_name). Kept in memory alone: a start
// tries once more.

// refusal is what the server said to a password, and when.
type refusal struct {
	code     int
	enhanced mail.Enhanced
	text     string
	at       time.Time
}

type refusedLogin struct {
	refusal
	password [sha256.Size]byte
}

// refusedLogins is safe for concurrent use. The zero value is empty.
type refusedLogins struct {
	mu   sync.Mutex // guards what follows
	salt []byte
	list map[[2]string]refusedLogin // by host and user
}

// refusedMax bounds the list; a user of a server costs some hundred bytes.
const refusedMax = 10_000

func (r *refusedLogins) find(host string, id identity, keep time.Duration, now time.Time) (refusal, bool) {
	if keep <= 0 {
		return refusal{}, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key := [2]string{host, id.user}
	old, ok := r.list[key]
	if !ok {
		return refusal{}, false
	}
	if sum := r.sum(id.password); now.Sub(old.at) > keep || !hmac.Equal(old.password[:], sum[:]) {
		delete(r.list, key)
		return refusal{}, false
	}
	return old.refusal, true
}

func (r *refusedLogins) store(host string, id identity, why refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.list == nil {
		r.list = make(map[[2]string]refusedLogin)
		r.salt = make([]byte, sha256.Size)
		rand.Read(r.salt)
	}
	if len(r.list) >= refusedMax {
		clear(r.list)
	}
	r.list[[2]string{host, id.user}] = refusedLogin{why, r.sum(id.password)}
}

// sum is what is kept of a password.
func (r *refusedLogins) sum(password string) (sum [sha256.Size]byte) {
	m := hmac.New(sha256.New, r.salt)
	m.Write([]byte(password))
	return [sha256.Size]byte(m.Sum(sum[:0]))
}
