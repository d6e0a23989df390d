package dane

import (
	"crypto"
	"fmt"
	"slices"
	"strconv"
	"strings"

	_ "crypto/sha256" // what is named below has to be there
	_ "crypto/sha3"
	_ "crypto/sha512"
)

// Digest is one that records may use.
type Digest struct {
	Match uint8 // the matching type that stands for it
	Hash  crypto.Hash
}

func (d Digest) sum(of []byte) []byte {
	h := d.Hash.New()
	h.Write(of)
	return h.Sum(nil)
}

// defaultDigests is tls_dane_digests = sha512 sha256.
func defaultDigests() []Digest {
	return []Digest{{2, crypto.SHA512}, {1, crypto.SHA256}}
}

// digestNames are those of OpenSSL. Only the first two have a matching type (RFC 6698
// section 7.4); who uses another one needs an agreement on its number.
var digestNames = map[string]crypto.Hash{
	"sha256": crypto.SHA256, "sha512": crypto.SHA512, "sha384": crypto.SHA384, "sha224": crypto.SHA224,
	"sha3-256": crypto.SHA3_256, "sha3-384": crypto.SHA3_384, "sha3-512": crypto.SHA3_512,
}

// ParseDigests reads postconf(5): tls_dane_digests, the best first: "sha512", "sha384=3".
// "=3" takes a number out of use, which those are anyway that are not named.
func ParseDigests(words []string) ([]Digest, error) {
	digests := []Digest{}
	for _, word := range words {
		name, number, numbered := strings.Cut(strings.ToLower(word), "=")
		match := 0
		if numbered {
			n, err := strconv.Atoi(number)
			if err != nil || n < 0 || n > 255 {
				return nil, fmt.Errorf("%s: invalid matching type number; write one from 1 to 254", word)
			}
			if n == matchFull || n == matchPrivate {
				return nil, fmt.Errorf("%s: reserved matching type number; write one from 1 to 254", word)
			}
			match = n
		}
		if name == "" {
			continue
		}
		hash, known := digestNames[name]
		own := map[crypto.Hash]int{crypto.SHA256: 1, crypto.SHA512: 2}[hash]
		switch {
		case !known:
			return nil, fmt.Errorf("%s: digest algorithm unknown; write sha512 or sha256", word)
		case match == 0 && own == 0:
			return nil, fmt.Errorf("%s: digest algorithm needs an explicit number; write %s=NUMBER", word, name)
		case match == 1 && hash != crypto.SHA256, match == 2 && hash != crypto.SHA512:
			return nil, fmt.Errorf("%s: matching type %d can only be sha%d", word, match, 256*match)
		case match == 0:
			match = own
		}
		d := Digest{uint8(match), hash}
		if slices.ContainsFunc(digests, func(o Digest) bool { return o.Match == d.Match }) {
			return nil, fmt.Errorf("%s: matching type %d specified more than once", word, match)
		}
		digests = append(digests, d)
	}
	return digests, nil
}

// rank is the place of a matching type among digests, the best first; -1: it has none.
func rank(digests []Digest, match uint8) int {
	return slices.IndexFunc(digests, func(d Digest) bool { return d.Match == match })
}

// agile keeps of the records of one usage and selector those with the best digest that is
// among them, and all that have none: a weak digest must not be good enough where the owner
// has also published a strong one (RFC 7671 section 9).
func agile(records []record, digests []Digest) []record {
	best := map[[2]uint8]int{}
	for _, r := range records {
		group := [2]uint8{r.usage, r.selector}
		if i := rank(digests, r.match); r.match != matchFull {
			if b, ok := best[group]; !ok || i < b {
				best[group] = i
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(records), func(r record) bool {
		return r.match != matchFull && rank(digests, r.match) != best[[2]uint8{r.usage, r.selector}]
	})
}
