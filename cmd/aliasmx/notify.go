package main

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// serviceManager tells systemd how the daemon is (sd_notify(3), Type=notify-reload).
// Without NOTIFY_SOCKET in the environment it says nothing.
type serviceManager struct{ socket string }

func (m serviceManager) ready()    { m.say("READY=1") }
func (m serviceManager) stopping() { m.say("STOPPING=1") }

// reloading must carry the monotonic time, so that systemd can tell this reload's
// READY from an earlier one.
func (m serviceManager) reloading() {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) == nil {
		m.say(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", ts.Nano()/1000))
	}
}

func (m serviceManager) say(state string) {
	if m.socket == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: m.socket, Net: "unixgram"})
	if err != nil {
		return
	}
	defer conn.Close()
	conn.Write([]byte(state))
}
