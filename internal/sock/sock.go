// Package sock opens the local sockets that the commands of the mail system talk to
// its daemon through: sendmail's (internal/pickup) and the operator's
// (internal/admin).
//
// It adds to the standard library's unix sockets what a daemon needs of them. The
// path may be of any length: a socket address holds 107 bytes, a queue directory
// under a long name needs more. The socket of a daemon that died is replaced, that
// of a live one never is. And who is at the other end is asked of the kernel, not of
// the peer. LimitUsers keeps one local user from taking all connections.
//
// The package knows no protocol; it is Linux's, as the whole program is.
package sock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrInUse: a live process listens on the socket.
var ErrInUse = errors.New("in use by a running process")

// maxPath is what fits in sockaddr_un.sun_path with its closing NUL, unix(7).
const maxPath = 107

// Listen makes a socket at path with exactly these permissions, whatever the umask.
// A socket that nobody listens on any more is replaced; anything else at path stays
// and is an error. Close removes the socket.
func Listen(path string, mode fs.FileMode) (net.Listener, error) {
	if err := removeStale(path); err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	name, done, err := address(path)
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	defer done()

	// The mode of the descriptor is what bind gives the file, less the umask: the socket
	// is never open to more users than it should be. Chmod then gives back what the
	// umask took.
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), uint32(mode.Perm())) }); e != nil {
			return e
		}
		return err
	}}
	l, err := config.Listen(context.Background(), "unix", name)
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, reason(err))
	}
	u := l.(*net.UnixListener)
	u.SetUnlinkOnClose(false) // it knows the name of this moment only
	if err := os.Chmod(path, mode.Perm()); err != nil {
		u.Close()
		os.Remove(path)
		return nil, fmt.Errorf("socket %s: %w", path, reason(err))
	}
	return &listener{UnixListener: u, path: path}, nil
}

type listener struct {
	*net.UnixListener
	path string
	once sync.Once
}

// Close removes the socket first: from then on a client is told that nobody is there
// instead of waiting in a queue that nobody serves.
func (l *listener) Close() error {
	l.once.Do(func() { os.Remove(l.path) })
	return l.UnixListener.Close()
}

// removeStale makes room for a new socket at path.
func removeStale(path string) error {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return reason(err)
	case st.Mode().Type() != fs.ModeSocket:
		return errors.New("there is a file of this name that is not a socket; remove it")
	}
	conn, err := Dial(path)
	switch {
	case err == nil:
		conn.Close()
		return ErrInUse
	case errors.Is(err, syscall.EAGAIN): // its queue of connections is full: it lives
		return ErrInUse
	case !Down(err):
		return fmt.Errorf("cannot tell whether it is in use: %w", reason(err))
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the socket of a dead process: %w", reason(err))
	}
	return nil
}

// Dial connects to the socket at path.
func Dial(path string) (net.Conn, error) { return DialContext(context.Background(), path) }

// DialContext connects to the socket at path while ctx lives.
func DialContext(ctx context.Context, path string) (net.Conn, error) {
	name, done, err := address(path)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", path, err)
	}
	defer done()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", name)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", path, reason(err))
	}
	return conn, nil
}

// Down tells whether an error of Dial means that no process serves the socket.
func Down(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// address is a name for path that fits in a socket address. A path that is too long
// is named through an open descriptor of its directory, which done closes.
func address(path string) (name string, done func(), err error) {
	if len(path) <= maxPath {
		return path, func() {}, nil
	}
	dir, base := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	name = "/proc/self/fd/" + strconv.Itoa(fd) + "/" + base
	if len(name) > maxPath {
		unix.Close(fd)
		return "", nil, fmt.Errorf("the name %s is too long for a socket", base)
	}
	return name, func() { unix.Close(fd) }, nil
}

// reason takes the operation and the name from an error: our own text has the name
// that the operator knows, the address in the error may be one through /proc.
func reason(err error) error {
	if e, ok := errors.AsType[*net.OpError](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*os.SyscallError](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return err
}
