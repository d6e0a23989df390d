package srs

import (
	"errors"
	"strings"
)

// Secrets reads a file of secrets as PostSRSd has them: one a line, all that is in the line.
// Empty lines are none, and neither are lines that begin with "#". The first signs.
func Secrets(file []byte) ([]string, error) {
	var list []string
	for line := range strings.SplitSeq(string(file), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if strings.Trim(line, " \t") != "" && line[0] != '#' {
			list = append(list, line)
		}
	}
	if len(list) == 0 {
		return nil, errors.New("there is no secret in it")
	}
	return list, nil
}
