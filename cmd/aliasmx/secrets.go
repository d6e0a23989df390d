package main

import (
	"errors"
	"fmt"
	"io/fs"

	"aliasmx/internal/mailauth/srs"
)

// secretsIn reads a file of secrets, one a line, the first of which signs. Whoever knows one
// can make what it signs: nothing in the file ever appears in a message.
func secretsIn(file string) ([]string, error) {
	text, err := readSecret(file)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w; the daemon reads it as mail_owner: chown it to that", err)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w; write 32 random characters to it", err)
	case err != nil:
		return nil, err
	}
	secrets, err := srs.Secrets(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; write 32 random characters to it", file, err)
	}
	if n := len(secrets[0]); n < srs.MinSecret {
		return nil, fmt.Errorf("%s: the first secret, which signs, has %d bytes, and can be found by trying; put one of %d or more on top and leave the old one below it",
			file, n, srs.MinSecret)
	}
	return secrets, nil
}
