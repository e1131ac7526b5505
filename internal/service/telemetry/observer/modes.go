package observer

import (
	"fmt"
	"io/fs"
	"syscall"
)

// unixMode is the permission bits with setuid, setgid and sticky, as chmod(1) counts them.
func unixMode(m fs.FileMode) uint32 {
	bits := uint32(m.Perm())
	if m&fs.ModeSetuid != 0 {
		bits |= 0o4000
	}
	if m&fs.ModeSetgid != 0 {
		bits |= 0o2000
	}
	if m&fs.ModeSticky != 0 {
		bits |= 0o1000
	}
	return bits
}

// octal is the mode of a file in four digits.
func octal(info fs.FileInfo) string { return fmt.Sprintf("%04o", unixMode(info.Mode())) }

// ownerOf returns the uid and gid of a file.
func ownerOf(info fs.FileInfo) (uid, gid int) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid), int(st.Gid)
	}
	return -1, -1
}
