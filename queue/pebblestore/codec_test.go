package pebblestore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

func fullEnvelope() *mail.Envelope {
	return &mail.Envelope{
		ID:      1<<63 + 12345,
		Arrived: time.Unix(1772366400, 123456789),
		Sender:  mail.Address{Local: "a b\x00", Domain: "sender.example"},
		EnvID:   "id",
		Ret:     "FULL",
		Flags:   mail.FlagSMTPUTF8 | mail.FlagNotice,
		Client: mail.Client{
			Name: "mx.example", Addr: netip.MustParseAddr("fe80::1%eth0"), Port: 65535,
			Helo: "mx", Protocol: "ESMTPSA", UID: -1,
		},
		Prepend: []byte("Received: x\r\n"),
		Auth:    mail.Authentic{Author: "author.example", Vouched: true, SPF: mail.AuthPass, DMARC: mail.AuthFail, ARC: mail.AuthNone, Results: "spf=pass"},
		Rcpts: []mail.Recipient{
			{Final: mail.Address{Local: "u", Domain: "d"}, Orig: mail.Address{Local: "u", Domain: "d"}, Dest: "smtp:d"},
			{Final: mail.Address{Local: "v", Domain: "d"}, Orig: mail.Address{Local: "w", Domain: "d"}, ORcpt: "rfc822;w@d", Notify: 15, Dest: "smtp:d"},
			{Dest: "error:5.1.1 no"},
			{},
		},
		Size: 1 << 40,
		CRC:  0xffffffff,
	}
}

func TestEnvelopeRecord(t *testing.T) {
	many := fullEnvelope()
	for range 1000 {
		many.Rcpts = append(many.Rcpts, many.Rcpts[1])
	}
	for name, env := range map[string]*mail.Envelope{
		"full":  fullEnvelope(),
		"zero":  {Rcpts: []mail.Recipient{}},
		"IPv4":  {Client: mail.Client{Addr: netip.MustParseAddr("192.0.2.1")}, Rcpts: []mail.Recipient{}},
		"large": many,
	} {
		record := encodeEnvelope(env)
		got, err := decodeEnvelope(record)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !got.Arrived.Equal(env.Arrived) || got.Arrived.IsZero() != env.Arrived.IsZero() {
			t.Errorf("%s: arrived %v, want %v", name, got.Arrived, env.Arrived)
		}
		got.Arrived = env.Arrived
		if !reflect.DeepEqual(got, env) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, env)
		}
	}
}

// TestRecordDamage: no byte of a record can be changed, added or lost without notice.
func TestRecordDamage(t *testing.T) {
	m, j := sampleJob()
	for name, record := range map[string][]byte{"envelope": encodeEnvelope(fullEnvelope()), "job": encodeJob(m, j)} {
		decode := func(b []byte) error {
			if name == "job" {
				_, err := decodeJob(b, &message{})
				return err
			}
			_, err := decodeEnvelope(b)
			return err
		}
		for i := range record {
			for _, bit := range []byte{1, 0x80} {
				bad := bytes.Clone(record)
				bad[i] ^= bit
				if err := decode(bad); err == nil {
					t.Errorf("%s: byte %d changed: no error", name, i)
				}
			}
			if err := decode(record[:i]); err == nil {
				t.Errorf("%s: cut to %d bytes: no error", name, i)
			}
		}
		if err := decode(append(bytes.Clone(record), 0)); err == nil {
			t.Errorf("%s: a byte more: no error", name)
		}
	}
}

func TestRecordOfNewerVersion(t *testing.T) {
	if _, err := decodeEnvelope(seal([]byte{envelopeVersion + 1, 1, 2, 3})); !errors.Is(err, errNewer) {
		t.Errorf("envelope: %v", err)
	}
	if _, err := decodeJob(seal([]byte{jobVersion + 1}), &message{}); !errors.Is(err, errNewer) {
		t.Errorf("job: %v", err)
	}
}

func sampleJob() (*message, *job) {
	m := &message{id: 77, arrived: time.Unix(1772366400, 5), file: true}
	return m, &job{
		n: 3, dest: "smtp:[192.0.2.1]:25", rcpts: []int{0, 7, 8, 4000}, reasons: []string{"busy", "", "busy", "other"},
		attempts: 12, due: 1772366400123, late: 1772366100000, trouble: true, bulk: true, expired: true,
	}
}

func TestJobRecord(t *testing.T) {
	m, j := sampleJob()
	for _, want := range []*job{j, {dest: "", rcpts: []int{}, reasons: []string{}}, {dest: "x:y", rcpts: []int{5}, reasons: []string{"r"}}} {
		var back message
		got, err := decodeJob(encodeJob(m, want), &back)
		if err != nil {
			t.Fatal(err)
		}
		got.n = want.n
		if !reflect.DeepEqual(got, want) {
			t.Errorf("\n got %+v\nwant %+v", got, want)
		}
		if !back.arrived.Equal(m.arrived) || back.file != m.file {
			t.Errorf("message %+v, want %+v", back, m)
		}
	}
}

// A record of the version before is read: it knew no late.
func TestOlderJobRecord(t *testing.T) {
	m, want := sampleJob()
	want.late = 0
	record := encodeJob(m, want)
	before := appendTime([]byte{jobVersion, record[1]}, m.arrived)
	before = appendText(before, want.dest)
	before = binary.AppendUvarint(before, uint64(want.due))
	before = binary.AppendUvarint(before, uint64(want.attempts))
	if !bytes.HasPrefix(record, append(before, 0)) {
		t.Fatalf("%x does not begin with %x", record, before)
	}
	old := append(bytes.Clone(before), record[len(before)+1:len(record)-4]...)
	old[0] = 1
	var back message
	got, err := decodeJob(seal(old), &back)
	if err != nil {
		t.Fatal(err)
	}
	if got.n = want.n; !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}

func TestReasonIsClipped(t *testing.T) {
	j := &job{rcpts: []int{1}, reasons: []string{""}}
	j.wait(1, strings.Repeat("x", 5000))
	j.wait(2, "not of this job")
	if len(j.reasons[0]) != maxReason {
		t.Errorf("%d bytes of reason are kept", len(j.reasons[0]))
	}
}

func TestDueKeys(t *testing.T) {
	dests := []mail.Dest{"", "\x00", "\x01", "\x00\x01", "smtp:a", "smtp:a\x00", "smtp:a\x01b", "smtp:ab", "smtp:\xff"}
	for _, d := range dests {
		for _, at := range []due{{}, {1, 2, 3}, {1<<63 - 1, 1<<64 - 1, 1<<32 - 1}} {
			key := dueKey(d, at)
			dest, got, ok := parseDueKey(key)
			if !ok || dest != d || got != at {
				t.Errorf("%q %v became %q %v, %v", d, at, dest, got, ok)
			}
			for _, e := range dests {
				first, end := destBounds(e)
				inside := bytes.Compare(key, first) >= 0 && bytes.Compare(key, end) < 0
				if inside != (e == d) {
					t.Errorf("key of %q is inside the bounds of %q: %v", d, e, inside)
				}
			}
		}
	}
	order := []due{{0, 9, 9}, {1, 1, 2}, {1, 2, 0}, {1, 2, 1}, {256, 0, 0}}
	for i, a := range order {
		for k, b := range order {
			if a.before(b) != (i < k) || (bytes.Compare(dueKey("d", a), dueKey("d", b)) < 0) != (i < k) {
				t.Errorf("order of %v and %v", a, b)
			}
		}
	}
	for _, bad := range []string{"", "t", "x" + strings.Repeat("\x00", 21), "ta" + strings.Repeat("x", 21), "ta\x01\x03\x00" + strings.Repeat("\x00", 20), "ta\x01\x00" + strings.Repeat("\x00", 20)} {
		if d, at, ok := parseDueKey([]byte(bad)); ok {
			t.Errorf("%q was read as %q %v", bad, d, at)
		}
	}
}

func TestMillis(t *testing.T) {
	base := time.UnixMilli(1772366400123)
	for _, tt := range []struct {
		t    time.Time
		want int64
	}{
		{base, 1772366400123},
		{base.Add(1), 1772366400124},
		{base.Add(-1), 1772366400123},
		{base.Add(time.Millisecond), 1772366400124},
		{time.Time{}, 0},
		{time.Unix(-1, 5), 0},
	} {
		if got := millis(tt.t); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.t, got, tt.want)
		}
	}
}

// FuzzEnvelope: what can be read is written again as the same, and nothing panics.
func FuzzEnvelope(f *testing.F) {
	for _, env := range []*mail.Envelope{fullEnvelope(), {}} {
		record := encodeEnvelope(env)
		f.Add(record)
		f.Add(record[:len(record)-4]) // as the fuzzer cannot make checksums
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := decodeEnvelope(b); err == nil && len(b) < 5 {
			t.Errorf("%x was read", b)
		}
		env, err := readEnvelope(b)
		if err != nil {
			return
		}
		again, err := decodeEnvelope(encodeEnvelope(env))
		if err != nil {
			t.Fatalf("%+v cannot be read again: %v", env, err)
		}
		if !reflect.DeepEqual(env, again) {
			t.Errorf("\nread %+v\nthen %+v", env, again)
		}
	})
}

// FuzzJob is the same for the records of jobs.
func FuzzJob(f *testing.F) {
	m, j := sampleJob()
	record := encodeJob(m, j)
	f.Add(record)
	f.Add(record[:len(record)-4])
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = decodeJob(b, &message{})
		var m, back message
		j, err := readJob(b, &m)
		if err != nil {
			return
		}
		again, err := decodeJob(encodeJob(&m, j), &back)
		if err != nil {
			t.Fatalf("%+v cannot be read again: %v", j, err)
		}
		if !reflect.DeepEqual(j, again) || !reflect.DeepEqual(m, back) {
			t.Errorf("\nread %+v\nthen %+v", j, again)
		}
	})
}

// FuzzDueKey is the same for keys of the index.
func FuzzDueKey(f *testing.F) {
	f.Add(dueKey("smtp:a\x00b", due{1, 2, 3}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, at, ok := parseDueKey(b); ok && !bytes.Equal(dueKey(d, at), b) {
			t.Errorf("%x was read as %q %v, which is written %x", b, d, at, dueKey(d, at))
		}
	})
}
