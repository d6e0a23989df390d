package table

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Values that name files, postmap(1) -F: for tls_server_sni_maps, whose values are keys
// and certificates. The table holds what was in the files when it was built, in base64.

// maxFileValue bounds what the files of one value may hold.
const maxFileValue = 16 << 20

// filesOf is the content of the files that a value names, with a newline between two,
// in base64.
func filesOf(names string) (string, error) {
	list := strings.FieldsFunc(names, func(c rune) bool { return c == ',' || c < 0x80 && isSpace(byte(c)) })
	if len(list) == 0 {
		return "", fmt.Errorf("empty pathname list: >>%s<<'", names)
	}
	var all []byte
	for i, name := range list {
		if i > 0 {
			all = append(all, '\n')
		}
		info, err := os.Stat(name)
		if err != nil {
			return "", &fileError{"open", name, err}
		}
		if info.Size() > int64(maxFileValue-len(all)) {
			return "", fmt.Errorf("file too large: %s", names)
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return "", &fileError{"read", name, err}
		}
		all = append(all, text...)
	}
	return base64.StdEncoding.EncodeToString(all), nil
}

// FileContent is what the files of a value held that was made of them.
func FileContent(value string) (string, error) {
	text, err := base64.StdEncoding.DecodeString(value)
	if err != nil || strings.ContainsAny(value, "\r\n") {
		return "", errors.New("malformed BASE64 value: " + value[:min(30, len(value))])
	}
	return string(text), nil
}
