package verify

import (
	"errors"
	"math"
	"strings"
	"time"

	"aliasmx/internal/mail"
)

// The address that probes come from: postconf(5): address_verify_sender. With
// address_verify_sender_ttl its local part ends in the number of the current period, so
// that who collects such addresses has little use of them. The null sender never changes.

// stampDigits are the digits of that number, as Postfix has them: no vowels, base 31.
const stampDigits = "0123456789BCDFGHJKLMNPQRSTVWXYZ"

// CheckSender tells what is wrong with a value of address_verify_sender.
func CheckSender(s string) error {
	switch {
	case strings.HasPrefix(s, "@"):
		return errors.New("the address must not begin with @")
	case strings.IndexByte(s, '@') == len(s)-1 && s != "":
		return errors.New("the address must not end with @")
	}
	return nil
}

func (p *Params) nullSender() bool { return p.Sender == "" || p.Sender == "<>" }

// senderBase is the sender without a stamp, completed.
func (p *Params) senderBase() mail.Address {
	local, domain, _ := strings.Cut(p.Sender, "@")
	return p.Complete(mail.Address{Local: local, Domain: domain})
}

// probeSender is who a probe of now comes from.
func (p *Params) probeSender(now time.Time) mail.Address {
	if p.nullSender() {
		return mail.Address{}
	}
	a := p.senderBase()
	if p.SenderTTL > 0 {
		a.Local += stamp(p.period(now))
	}
	return a
}

func (p *Params) period(now time.Time) uint64 {
	return uint64(max(now.Unix(), 0)) / uint64(max(p.SenderTTL/time.Second, 1))
}

// isProbeSender tells whether a is the sender of our probes, now or in the period before
// or after, and returns it without its stamp.
func (p *Params) isProbeSender(a mail.Address, now time.Time) (mail.Address, bool) {
	if p.nullSender() {
		return a, a.IsNull()
	}
	base := p.senderBase()
	if len(a.Local) < len(base.Local) || !strings.EqualFold(a.Local[:len(base.Local)], base.Local) || !strings.EqualFold(a.Domain, base.Domain) {
		return a, false
	}
	rest := a.Local[len(base.Local):]
	if p.SenderTTL <= 0 {
		return base, rest == ""
	}
	n, ok := parseStamp(rest)
	return base, ok && n+1 >= p.period(now) && n <= p.period(now)+1
}

func stamp(n uint64) string {
	var b [16]byte
	i := len(b)
	for ; n > 0; n /= uint64(len(stampDigits)) {
		i--
		b[i] = stampDigits[n%uint64(len(stampDigits))]
	}
	return string(b[i:])
}

func parseStamp(s string) (n uint64, ok bool) {
	for i := range len(s) {
		d := strings.IndexByte(stampDigits, s[i])
		if d < 0 || n > (math.MaxUint64-1-uint64(d))/uint64(len(stampDigits)) {
			return 0, false
		}
		n = n*uint64(len(stampDigits)) + uint64(d)
	}
	return n, true
}
