package main

import (
	"errors"
	"io"
)

var errInterrupted = errors.New("interrupted")

// interruptible reads from another reader until the program is told to end: whoever
// waits for an answer on a terminal hears of Ctrl-C at once.
type interruptible struct {
	from io.Reader
	ends <-chan struct{}
}

// Read leaves a reading behind when it is interrupted; the program ends then.
func (r interruptible) Read(p []byte) (int, error) {
	type reading struct {
		text []byte
		err  error
	}
	done := make(chan reading, 1)
	go func() {
		text := make([]byte, len(p))
		n, err := r.from.Read(text)
		done <- reading{text[:n], err}
	}()
	select {
	case <-r.ends:
		return 0, errInterrupted
	case got := <-done:
		return copy(p, got.text), got.err
	}
}
