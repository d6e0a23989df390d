package mtasts

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNoRecord: a domain does not announce a policy.
var ErrNoRecord = errors.New("no TXT record begins with \"v=STSv1;\"")

const recordVersion = "v=STSv1"

// ParseRecord finds the one record among the texts at _mta-sts.DOMAIN that announces a
// policy, and returns its id: 1 to 32 letters and digits. Texts that are about something
// else do not count. Without any the error is ErrNoRecord; two of them, or one that is
// malformed, are as good as none (RFC 8461 section 3.1), and the error says what is wrong.
func ParseRecord(txts []string) (id string, err error) {
	var record string
	found := 0
	for _, txt := range txts {
		rest, ok := strings.CutPrefix(txt, recordVersion)
		if ok && strings.HasPrefix(strings.TrimLeft(rest, " \t"), ";") {
			record = rest
			found++
		}
	}
	switch found {
	case 0:
		return "", ErrNoRecord
	case 1:
		return parseFields(record)
	}
	return "", fmt.Errorf("%d TXT records begin with \"v=STSv1;\", where one may", found)
}

// parseFields reads what follows the version: *WSP ";" *WSP before each field, and perhaps
// once more at the end.
func parseFields(s string) (id string, err error) {
	fields := strings.Split(s, ";")[1:]
	if last := len(fields) - 1; last > 0 && strings.Trim(fields[last], " \t") == "" {
		fields = fields[:last]
	}
	for _, field := range fields {
		field = strings.Trim(field, " \t")
		name, value, ok := strings.Cut(field, "=")
		switch {
		case !ok || !isFieldName(name) || !isRecordValue(value):
			return "", fmt.Errorf("the TXT record is malformed at %q: fields are name=value", field)
		case name != "id":
		case id != "":
			return "", errors.New("the TXT record has two ids")
		case len(value) > 32 || strings.ContainsFunc(value, func(c rune) bool { return !isAlnum(byte(c)) }):
			return "", fmt.Errorf("the id %q of the TXT record is not 1 to 32 letters and digits", value)
		default:
			id = value
		}
	}
	if id == "" {
		return "", errors.New("the TXT record has no id")
	}
	return id, nil
}

// isFieldName: (ALPHA / DIGIT) *31(ALPHA / DIGIT / "_" / "-" / "."), in records as in files.
func isFieldName(s string) bool {
	if s == "" || len(s) > 32 || !isAlnum(s[0]) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if !isAlnum(s[i]) && !strings.ContainsRune("_-.", rune(s[i])) {
			return false
		}
	}
	return true
}

// isRecordValue: printable ASCII without "=" and ";".
func isRecordValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '=' || s[i] == ';' {
			return false
		}
	}
	return s != ""
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
