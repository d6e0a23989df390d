package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"aliasmx/internal/postconf"
)

// checkFiles finds what would stop a start at its files, and touches none of them.
func checkFiles(cfg *postconf.Config) error {
	as, err := runAs(cfg)
	if err != nil {
		return err
	}
	if err := checkSpool(cfg, as); err != nil {
		return err
	}
	return checkLogFile(cfg)
}

// checkSpool is prepareSpool without making anything.
func checkSpool(cfg *postconf.Config, as account) error {
	top, where := cfg.Get("queue_directory"), cfg.Where("queue_directory")
	info, err := os.Stat(top)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return checkParent("queue_directory", top, where)
	case err != nil:
		return fmt.Errorf("queue_directory (%s): %w", where, err)
	case !info.IsDir():
		return fmt.Errorf("queue_directory (%s): %s is not a directory", where, top)
	}
	if uid := int(info.Sys().(*syscall.Stat_t).Uid); os.Geteuid() == 0 && uid != 0 && uid != as.uid {
		return fmt.Errorf("queue_directory (%s): %s belongs to user %d, not to user %d; "+
			"chown it or choose another directory", where, top, uid, as.uid)
	}
	for _, dir := range []string{storeDir(cfg), filepath.Dir(controlSocket(cfg))} {
		if info, err := os.Lstat(dir); err == nil && !info.IsDir() {
			return fmt.Errorf("%s is not a directory; move it away", dir)
		}
	}
	return nil
}

// checkParent finds a path that cannot be made, because something above it is a file.
func checkParent(parameter, path, where string) error {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		switch {
		case err == nil && info.IsDir():
			return nil
		case err == nil:
			return fmt.Errorf("%s (%s): %s is not a directory", parameter, where, dir)
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%s (%s): %w", parameter, where, err)
		}
	}
}

// checkLogFile looks at maillog_file, which is not opened: it may be a pipe that nobody
// reads yet.
func checkLogFile(cfg *postconf.Config) error {
	path, where := cfg.Get("maillog_file"), cfg.Where("maillog_file")
	if path == "" || slices.Contains([]string{"/dev/stdout", "/dev/stderr"}, path) {
		return nil
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if info, err = os.Stat(filepath.Dir(path)); err != nil {
			return fmt.Errorf("maillog_file (%s): %w", where, err)
		}
		if !info.IsDir() {
			return fmt.Errorf("maillog_file (%s): %s is not a directory", where, filepath.Dir(path))
		}
	case err != nil:
		return fmt.Errorf("maillog_file (%s): %w", where, err)
	case info.IsDir():
		return fmt.Errorf("maillog_file (%s): %s is a directory", where, path)
	}
	return nil
}
