//go:build unix

package storage

import (
	"os"
	"syscall"
)

// lockFile takes the lock of an open file, which the system frees with the process.
func lockFile(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
