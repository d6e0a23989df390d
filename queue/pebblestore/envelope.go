package pebblestore

import (
	"encoding/binary"
	"math"
	"net/netip"

	"aliasmx/internal/mail"
)

// The versions of an envelope record. The second has what is known of the author behind the
// recipients; a record that has nothing to say there is still of the first.
const (
	envelopePlain   = 1
	envelopeVersion = 2
)

// What is left out of a recipient because it says nothing new.
const (
	rcptOrigIsFinal = 1 << iota
	rcptDestAsBefore
)

// encodeEnvelope writes an envelope record.
func encodeEnvelope(env *mail.Envelope) []byte {
	size := 256 + len(env.Prepend)
	for i := range env.Rcpts {
		r := &env.Rcpts[i]
		size += 32 + len(r.Final.Local) + len(r.Final.Domain) + len(r.Orig.Local) + len(r.Orig.Domain) + len(r.ORcpt) + len(r.Dest)
	}
	version := byte(envelopePlain)
	if env.Auth != (mail.Authentic{}) {
		version = envelopeVersion
		size += 64 + len(env.Auth.Author) + len(env.Auth.Results)
	}
	b := append(make([]byte, 0, size), version)
	b = binary.AppendUvarint(b, uint64(env.ID))
	b = appendTime(b, env.Arrived)
	b = appendAddress(b, env.Sender)
	b = appendText(b, env.EnvID)
	b = appendText(b, env.Ret)
	b = binary.AppendUvarint(b, uint64(env.Flags))
	b = appendClient(b, &env.Client)
	b = appendText(b, env.Prepend)
	b = binary.AppendUvarint(b, uint64(env.Size))
	b = binary.AppendUvarint(b, uint64(env.CRC))

	b = binary.AppendUvarint(b, uint64(len(env.Rcpts)))
	var dest mail.Dest
	for i := range env.Rcpts {
		r := &env.Rcpts[i]
		var left byte
		if r.Orig == r.Final {
			left |= rcptOrigIsFinal
		}
		if r.Dest == dest {
			left |= rcptDestAsBefore
		}
		b = append(b, left, byte(r.Notify))
		b = appendAddress(b, r.Final)
		if left&rcptOrigIsFinal == 0 {
			b = appendAddress(b, r.Orig)
		}
		b = appendText(b, r.ORcpt)
		if left&rcptDestAsBefore == 0 {
			b = appendText(b, r.Dest)
		}
		dest = r.Dest
	}
	if version > envelopePlain {
		b = appendAuthentic(b, &env.Auth)
	}
	return seal(b)
}

func appendAddress(b []byte, a mail.Address) []byte {
	return appendText(appendText(b, a.Local), a.Domain)
}

func appendAuthentic(b []byte, a *mail.Authentic) []byte {
	var vouched byte
	if a.Vouched {
		vouched = 1
	}
	b = append(appendText(b, a.Author), vouched)
	for _, r := range [...]mail.AuthResult{a.SPF, a.DMARC, a.ARC} {
		b = appendText(b, r)
	}
	return appendText(b, a.Results)
}

func (f *fields) authentic(a *mail.Authentic) {
	a.Author = f.text()
	a.Vouched = f.byte() == 1
	for _, r := range [...]*mail.AuthResult{&a.SPF, &a.DMARC, &a.ARC} {
		*r = mail.AuthResult(f.text())
	}
	a.Results = f.text()
}

func appendClient(b []byte, c *mail.Client) []byte {
	b = appendText(b, c.Name)
	addr, _ := c.Addr.MarshalBinary() // never fails
	b = appendText(b, addr)
	b = binary.AppendUvarint(b, uint64(c.Port))
	b = appendText(b, c.Helo)
	b = appendText(b, c.Protocol)
	return binary.AppendVarint(b, int64(c.UID))
}

// decodeEnvelope reads an envelope record and checks its checksum.
func decodeEnvelope(record []byte) (*mail.Envelope, error) {
	b, err := unseal(record)
	if err != nil {
		return nil, err
	}
	return readEnvelope(b)
}

// readEnvelope reads an envelope record without its checksum.
func readEnvelope(b []byte) (*mail.Envelope, error) {
	f := &fields{rest: string(b)}
	version := f.byte()
	if version > envelopeVersion {
		return nil, errNewer
	}
	env := &mail.Envelope{}
	env.ID = mail.QueueID(f.uint())
	env.Arrived = f.time()
	env.Sender = f.address()
	env.EnvID = f.text()
	env.Ret = f.text()
	env.Flags = mail.Flags(f.upTo(math.MaxUint32))
	f.client(&env.Client)
	if p := f.text(); p != "" {
		env.Prepend = []byte(p)
	}
	env.Size = int64(f.upTo(math.MaxInt64))
	env.CRC = uint32(f.upTo(math.MaxUint32))

	const smallest = 5 // octets of a recipient
	env.Rcpts = make([]mail.Recipient, f.count(smallest))
	var dest mail.Dest
	for i := range env.Rcpts {
		r := &env.Rcpts[i]
		left := f.byte()
		r.Notify = mail.Notify(f.byte())
		r.Final = f.address()
		r.Orig = r.Final
		if left&rcptOrigIsFinal == 0 {
			r.Orig = f.address()
		}
		r.ORcpt = f.text()
		if left&rcptDestAsBefore == 0 {
			dest = mail.Dest(f.text())
		}
		r.Dest = dest
	}
	if version > envelopePlain {
		f.authentic(&env.Auth)
	}
	if err := f.end(); err != nil {
		return nil, err
	}
	return env, nil
}

func (f *fields) address() mail.Address {
	local := f.text()
	return mail.Address{Local: local, Domain: f.text()}
}

func (f *fields) client(c *mail.Client) {
	c.Name = f.text()
	var addr netip.Addr
	if err := addr.UnmarshalBinary([]byte(f.text())); err != nil {
		f.bad = true
	}
	c.Addr = addr
	c.Port = uint16(f.upTo(math.MaxUint16))
	c.Helo = f.text()
	c.Protocol = f.text()
	c.UID = int(f.int())
}
