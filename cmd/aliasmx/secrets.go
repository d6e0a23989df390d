package main

import (
	"fmt"
	"os"

	"aliasmx/internal/mailauth/srs"
)

// secretsIn reads a file of secrets, one a line, the first of which signs. Whoever knows one
// can make what it signs: the file is not for everybody to read, and nothing in it ever
// appears in a message.
func secretsIn(file string) ([]string, error) {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w; write 32 random characters to it", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file; name a file with one secret a line", file)
	case info.Mode().Perm()&0o006 != 0:
		return nil, fmt.Errorf("%s: everybody on this machine may read or change it (mode %04o); chmod o= %s, and make new secrets if others have users here",
			file, info.Mode().Perm(), file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w; the daemon reads it as mail_owner: chown it to that", err)
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
