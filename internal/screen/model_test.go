package screen

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/cachefile"
)

// The allow list against a map, by random operations: remember, forget what has expired,
// write and read.
func TestAllowListModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	list := allowList{max: 1000, entries: map[netip.Addr]stamps{}}
	model := map[netip.Addr]stamps{}
	now := time.Unix(1_764_000_000, 0)
	file := filepath.Join(t.TempDir(), "cache")
	for step := range 3000 {
		switch n := r.IntN(100); {
		case n < 90:
			addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(r.IntN(256))})
			if n < 30 {
				addr = netip.AddrFrom16([16]byte{0x20, 1, 15: byte(r.IntN(256))})
			}
			var s stamps
			for i := range s {
				s[i] = []int64{stampNew, stampNone, now.Unix() + r.Int64N(100_000)}[r.IntN(3)]
			}
			list.put(addr, s)
			model[addr] = s
		case n < 96:
			now = now.Add(time.Duration(r.IntN(3600)) * time.Second)
			retained, dropped := list.clean(now.Unix())
			before := len(model)
			maps.DeleteFunc(model, func(_ netip.Addr, s stamps) bool { return slices.Max(s[:]) < now.Unix() })
			if retained != len(model) || dropped != before-len(model) {
				t.Fatalf("step %d: retained %d, dropped %d; want %d, %d", step, retained, dropped, len(model), before-len(model))
			}
		default:
			if err := cachefile.Write(file, encode(list.lines(), now)); err != nil {
				t.Fatal(err)
			}
			lines, cleaned, err := readFile(file)
			if err != nil || !cleaned.Equal(now) {
				t.Fatalf("step %d: %v, %v", step, cleaned, err)
			}
			list.entries = map[netip.Addr]stamps{}
			for _, l := range lines {
				list.put(l.addr, l.stamps)
			}
		}
		if !maps.Equal(list.entries, model) {
			t.Fatalf("step %d: %v, want %v", step, list.entries, model)
		}
	}
}

// What is read can be written and read again, and is the same.
func FuzzDecode(f *testing.F) {
	at := time.Unix(1_764_000_000, 0)
	f.Add(encode(nil, time.Time{}))
	f.Add(encode([]fileLine{{netip.MustParseAddr("192.0.2.1"), stamps{5, 0, 1, 1, 1}}, {netip.MustParseAddr("2001:db8::1"), stamps{1 << 40}}}, at))
	f.Add([]byte("aliasmx postscreen_cache 1 0\nend 0 00000000\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		// Most of what fuzzing finds has a wrong CRC: the lines are to be read all the same.
		for _, input := range [][]byte{b, sealed(b)} {
			lines, cleaned, err := decode(input)
			if err != nil {
				continue
			}
			again, when, err := decode(encode(lines, cleaned))
			if err != nil || !slices.Equal(again, lines) || !when.Equal(cleaned) {
				t.Errorf("%q: %v %v, again %v %v, %v", input, lines, cleaned, again, when, err)
			}
		}
	})
}

// sealed is a text with the first and the last line that it should have.
func sealed(text []byte) []byte {
	var b []byte
	n := 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "end ") && !strings.HasPrefix(line, "aliasmx ") {
			b = append(append(b, strings.TrimSuffix(line, "\n")...), '\n')
			n++
		}
	}
	return cachefile.Encode(fileKind, time.Time{}, n, b)
}

func TestDecodeLine(t *testing.T) {
	for text, want := range map[string]bool{
		"192.0.2.1 1;2;3;4;5": true, "2001:db8::1 0;0;0;0;0": true, "192.0.2.1 1;2;3;4": false, "192.0.2.1 1;2;3;4;5;6": false,
		"192.0.2.1 1;2;3;4;-1": false, "192.0.2.1 1;2;3;4;": false, "x 1;2;3;4;5": false, "192.0.2.1": false, "": false,
		"192.0.2.1  1;2;3;4;5": false, "192.0.2.1 1;2;3;4;99999999999999999999": false,
	} {
		if _, ok := decodeLine(text); ok != want {
			t.Errorf("decodeLine(%q) = %v", text, ok)
		}
	}
}
