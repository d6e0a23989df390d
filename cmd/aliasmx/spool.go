package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"aliasmx/internal/postconf"
)

// Where things lie below queue_directory. The names are none of Postfix's, so that
// a queue_directory taken over from Postfix keeps Postfix's files as they are.
func storeDir(cfg *postconf.Config) string {
	return filepath.Join(cfg.Get("queue_directory"), "store")
}

func controlSocket(cfg *postconf.Config) string {
	return filepath.Join(cfg.Get("queue_directory"), "run", "control")
}

func pickupSocket(cfg *postconf.Config) string {
	return filepath.Join(cfg.Get("queue_directory"), "run", "pickup")
}

func pidFile(cfg *postconf.Config) string {
	return filepath.Join(cfg.Get("queue_directory"), "run", "pid")
}

// prepareSpool makes the directories of the daemon and gives them to the user it
// will run as. It refuses a queue_directory that belongs to somebody else.
func prepareSpool(cfg *postconf.Config, as account) error {
	top := cfg.Get("queue_directory")
	where := cfg.Where("queue_directory")
	info, err := os.Stat(top)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(top, 0o755); err != nil {
			return fmt.Errorf("queue_directory (%s): %w; create it, owned by the user who starts aliasmx", where, err)
		}
		// Whatever the umask was: users reach the socket of sendmail through it.
		if err := os.Chmod(top, 0o755); err != nil {
			return err
		}
		if err := chownTo(top, as); err != nil {
			return err
		}
	case err != nil:
		return fmt.Errorf("queue_directory (%s): %w", where, err)
	case !info.IsDir():
		return fmt.Errorf("queue_directory (%s): %s is not a directory", where, top)
	default:
		if uid := info.Sys().(*syscall.Stat_t).Uid; int(uid) != os.Geteuid() && int(uid) != as.uid {
			return fmt.Errorf("queue_directory (%s): %s belongs to user %d, not to user %d; "+
				"chown it or choose another directory", where, top, uid, as.uid)
		}
	}
	if err := prepareData(cfg, as); err != nil {
		return err
	}
	for _, d := range []struct {
		path string
		mode fs.FileMode
	}{
		{storeDir(cfg), 0o700},
		{filepath.Dir(controlSocket(cfg)), 0o755}, // every local user may submit
	} {
		if err := makeOwned(d.path, d.mode, as); err != nil {
			return err
		}
	}
	return nil
}

// prepareData makes data_directory where something will be kept in it. One that is there
// keeps its owner: it may be another program's as well.
func prepareData(cfg *postconf.Config, as account) error {
	dir := cfg.Get("data_directory")
	verify, _ := verifyFile(cfg)
	screen, _ := screenFile(cfg)
	wanted := filepath.Dir(verify) == dir && verifies(cfg) || filepath.Dir(screen) == dir && screens(cfg) || keepsCounts(cfg, dir)
	if !wanted && !keepsPolicies(cfg) && !wantsTLSReports(cfg) {
		return nil
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return nil // what is wrong with it is said when something is written
	}
	if err := os.MkdirAll(dir, 0o755); err != nil && !wanted {
		return nil // policies can be fetched again
	} else if err != nil {
		return fmt.Errorf("data_directory (%s): %w; create it, owned by the user who runs aliasmx", cfg.Where("data_directory"), err)
	}
	return chownTo(dir, as)
}

func makeOwned(path string, mode fs.FileMode, as account) error {
	if err := os.Mkdir(path, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create %s: %w", path, err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory; move it away", path)
	}
	if uid := int(info.Sys().(*syscall.Stat_t).Uid); uid != as.uid {
		if os.Geteuid() != 0 {
			return fmt.Errorf("%s belongs to user %d, not to user %d; chown -R it", path, uid, as.uid)
		}
		if err := chownTree(path, as); err != nil {
			return err
		}
	}
	return os.Chmod(path, mode)
}

func chownTo(path string, as account) error {
	if os.Geteuid() != 0 || as.uid == 0 {
		return nil
	}
	return os.Lchown(path, as.uid, as.gid)
}

// chownTree hands a tree over when mail_owner has changed since the last start.
func chownTree(top string, as account) error {
	return filepath.WalkDir(top, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, as.uid, as.gid)
	})
}
