package peers

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Namespace is a machine of its own as far as the network goes (network_namespaces(7)): it
// has its own addresses and routes, and port 25 of each address is free. It ends with its
// file and the processes in it; nothing is left behind, and the machine's own network is not
// touched. To make one takes root.
type Namespace struct {
	file *os.File
}

// NewNamespace makes a namespace that has a loopback and nothing else.
func NewNamespace() (*Namespace, error) {
	n := &Namespace{}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w (it takes root)", err)
		}
		var err error
		n.file, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		return nil, err
	}
	return n, n.IP("link set lo up")
}

// Close lets go of it.
func (n *Namespace) Close() { n.file.Close() }

// Do calls f on a thread in the namespace: sockets that it makes, and processes that it
// starts, are in there and stay there.
func (n *Namespace) Do(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter a network namespace: %w", err)
		}
		return f()
	})
}

// onThread calls f on a thread that nobody uses afterwards.
func onThread(f func() error) (err error) {
	var done sync.WaitGroup
	done.Go(func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err = f()
	})
	done.Wait()
	return err
}

// IP runs commands of ip(8) in the namespace.
func (n *Namespace) IP(commands ...string) error {
	return n.Do(func() error {
		cmd := exec.Command("ip", "-batch", "-")
		cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("ip: %w: %s", err, out)
		}
		return nil
	})
}

// Listen is net.Listen in the namespace.
func (n *Namespace) Listen(addr string) (ln net.Listener, err error) {
	err = n.Do(func() (err error) {
		ln, err = net.Listen("tcp", addr)
		return err
	})
	return ln, err
}

// path names the namespace to ip(8) while f runs.
func (n *Namespace) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.file.Fd()) }

// Link is a switch that hosts are plugged into.
type Link struct {
	*Namespace
	ports int
}

// NewLink makes a switch.
func NewLink() (*Link, error) {
	n, err := NewNamespace()
	if err != nil {
		return nil, err
	}
	return &Link{Namespace: n}, n.IP("link add br0 type bridge", "link set br0 up")
}

// Plug gives a namespace an interface at the switch, eth0, with addresses
// ("192.0.2.1/24"). It must not be called by two at a time.
func (l *Link) Plug(host *Namespace, addrs ...string) error {
	l.ports++
	err := l.IP(fmt.Sprintf("link add port%d type veth peer name eth0 netns %s", l.ports, host.path()),
		fmt.Sprintf("link set port%d master br0 up", l.ports))
	if err != nil {
		return err
	}
	commands := []string{"link set eth0 up"}
	for _, a := range addrs {
		if strings.Contains(a, ":") {
			a += " nodad" // usable at once
		}
		commands = append(commands, "addr add "+a+" dev eth0")
	}
	return host.IP(commands...)
}
