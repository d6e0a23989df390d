package local

import (
	"syscall"
	"unsafe"
)

// setGroups sets the supplementary groups of the calling thread. The function of package
// syscall would set those of all threads.
func setGroups(groups []uint32) error {
	_, _, errno := syscall.RawSyscall(syscall.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&groups[0])), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
