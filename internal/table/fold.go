package table

import (
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/cases"
)

// keyForm brings keys into the form in which tables store them. Letters beyond ASCII
// are folded as Unicode has it, sharp s to ss, as Postfix does with
// smtputf8_enable = yes.
type keyForm struct {
	fold bool
	utf8 bool
}

func (o Options) keyForm() keyForm { return keyForm{fold: !o.NoFold, utf8: !o.NoUTF8} }

// key returns the stored form of a key, or false for one that no table can hold
// because it is not UTF-8.
func (f keyForm) key(key string) (string, bool) {
	ascii, lower := true, true
	for i := 0; i < len(key); i++ {
		c := key[i]
		ascii = ascii && c < utf8.RuneSelf
		lower = lower && (c < 'A' || c > 'Z')
	}
	switch {
	case ascii && (lower || !f.fold):
		return key, true
	case ascii || !f.utf8:
		if f.fold {
			key = lowerASCII(key)
		}
		return key, true
	case !utf8.ValidString(key):
		return "", false
	case !f.fold:
		return key, true
	}
	return cases.Fold().String(key), true
}

// lookupKey is key for a lookup in the table of that name. A key that is not UTF-8
// cannot be in the table: that is worth a warning, as in Postfix, and no failure.
func (o Options) lookupKey(name, key string) (string, bool) {
	folded, ok := o.keyForm().key(key)
	if !ok {
		o.warnf(`%s: non-UTF-8 key "%s": malformed UTF-8 or invalid codepoint`, name, key)
	}
	return folded, ok
}

// checkValue refuses a value that is not UTF-8 where all must be. The warning says
// it in Postfix's words; the key in it is as it was asked for.
func (o Options) checkValue(name, key, value string) error {
	if o.NoUTF8 || utf8.ValidString(value) {
		return nil
	}
	o.warnf(`%s: key "%s": non-UTF-8 value "%s": malformed UTF-8 or invalid codepoint`, name, key, value)
	return &ValueError{fmt.Sprintf(`%s: key "%s": the value is not UTF-8`, name, key)}
}

func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
