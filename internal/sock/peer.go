package sock

import (
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Cred says who is at the other end of a connection, as it was when it connected.
type Cred struct{ UID, GID, PID int }

// PeerCred asks the kernel who is at the other end (unix(7): SO_PEERCRED).
func PeerCred(conn net.Conn) (Cred, error) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return Cred{}, fmt.Errorf("peer credentials: not a unix socket: %T", conn)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return Cred{}, fmt.Errorf("peer credentials: %w", err)
	}
	var u *unix.Ucred
	if e := raw.Control(func(fd uintptr) {
		u, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); e != nil {
		err = e
	}
	if err != nil {
		return Cred{}, fmt.Errorf("peer credentials: %w", err)
	}
	return Cred{UID: int(u.Uid), GID: int(u.Gid), PID: int(u.Pid)}, nil
}

// LimitUsers accepts at most perUser connections at a time from one local user and
// total from all of them; what is above is closed at once. The superuser and the
// daemon's own user are never turned away: the operator comes through when others
// have taken what they may.
func LimitUsers(l net.Listener, perUser, total int) net.Listener {
	return &limited{Listener: l, perUser: perUser, total: total, own: os.Geteuid(), open: map[int]int{}}
}

type limited struct {
	net.Listener
	perUser, total, own int

	mu   sync.Mutex // guards open and sum
	open map[int]int
	sum  int
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		cred, err := PeerCred(conn)
		if err != nil || !l.enter(cred.UID) {
			conn.Close()
			continue
		}
		return &counted{UnixConn: conn.(*net.UnixConn), leave: sync.OnceFunc(func() { l.leave(cred.UID) })}, nil
	}
}

func (l *limited) enter(uid int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if uid != 0 && uid != l.own && (l.open[uid] >= l.perUser || l.sum >= l.total) {
		return false
	}
	l.open[uid]++
	l.sum++
	return true
}

func (l *limited) leave(uid int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sum--
	if l.open[uid]--; l.open[uid] == 0 {
		delete(l.open, uid)
	}
}

// counted is a connection that is given back when it is closed.
type counted struct {
	*net.UnixConn
	leave func()
}

func (c *counted) Close() error {
	err := c.UnixConn.Close()
	c.leave()
	return err
}
