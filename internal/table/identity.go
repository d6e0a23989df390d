package table

import "golang.org/x/sys/unix"

// identity is what tells one file, and one state of it, from another. The zero value
// is no file.
type identity struct {
	dev, ino    uint64
	size        int64
	sec, nanosc int64
	uid         uint32 // who owns it
}

func identityOf(fd int) (identity, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return identity{}, err
	}
	return identityFrom(&st), nil
}

// identityAt is the identity of the file that a path names now, zero when it cannot
// be told.
func identityAt(path string) identity {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return identity{}
	}
	return identityFrom(&st)
}

func identityFrom(st *unix.Stat_t) identity {
	return identity{
		dev: uint64(st.Dev), ino: st.Ino, size: st.Size,
		sec: int64(st.Mtim.Sec), nanosc: int64(st.Mtim.Nsec), uid: st.Uid,
	}
}
