package main

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// maxSecretFile is the largest file that is read for a key or for secrets, in bytes.
const maxSecretFile = 64 << 10

// readSecret reads a file of a private key or of secrets. Whoever knows what is in it can speak
// in our name, and whoever can change it can put in something that he knows: it is not for
// everybody to read, and for nobody but its owner to change. Its group may read it.
func readSecret(file string) ([]byte, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a named pipe is not waited for
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", file)
	}
	if mode := info.Mode().Perm(); mode&0o026 != 0 {
		may := "its group may change it"
		if mode&0o006 != 0 {
			may = "everybody on this machine may read or change it"
		}
		return nil, fmt.Errorf("%s: %s (mode %04o); chmod g-w,o= %s, and make a new one if others have users here", file, may, mode, file)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err == nil && len(text) > maxSecretFile {
		err = fmt.Errorf("%s: it has more than %d bytes, and is neither a key nor a list of secrets", file, maxSecretFile)
	}
	return text, err
}
