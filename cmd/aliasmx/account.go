package main

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"aliasmx/internal/postconf"
)

// account is the user the daemon runs as after its ports are bound.
type account struct {
	name     string
	uid, gid int
}

// runAs finds the user: the one who starts the daemon, or for root the mail_owner
// that the configuration names.
func runAs(cfg *postconf.Config) (account, error) {
	self := account{uid: os.Geteuid(), gid: os.Getegid()}
	if self.uid != 0 || !cfg.Set("mail_owner") {
		return self, nil
	}
	name := cfg.Get("mail_owner")
	u, err := user.Lookup(name)
	if err != nil {
		if _, unknown := err.(user.UnknownUserError); unknown {
			return self, nil
		}
		return self, fmt.Errorf("mail_owner (%s): %w", cfg.Where("mail_owner"), err)
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err1 != nil || err2 != nil {
		return self, fmt.Errorf("mail_owner (%s): user %s has no numeric ids", cfg.Where("mail_owner"), name)
	}
	return account{name: name, uid: uid, gid: gid}, nil
}

// become gives up root for good.
func (a account) become() error {
	if os.Geteuid() != 0 || a.uid == 0 {
		return nil
	}
	if err := syscall.Setgroups([]int{a.gid}); err != nil {
		return fmt.Errorf("setgroups: %w", err)
	}
	if err := syscall.Setgid(a.gid); err != nil {
		return fmt.Errorf("setgid %d: %w", a.gid, err)
	}
	if err := syscall.Setuid(a.uid); err != nil {
		return fmt.Errorf("setuid %d: %w", a.uid, err)
	}
	return nil
}
