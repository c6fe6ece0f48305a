package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// An interruption is a signal that told the program to end. The exit status is that
// of a shell: 128 and the number of the signal.
type interruption struct{ signal syscall.Signal }

func (i interruption) Error() string { return fmt.Sprintf("ended by a signal (%s)", i.signal) }

func (i interruption) status() int { return 128 + int(i.signal) }

// untilSignal returns a context that ends when somebody types Ctrl-C or sends
// SIGTERM; its cause is that interruption.
func untilSignal() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			if s, ok := s.(syscall.Signal); ok {
				cancel(interruption{s})
			}
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

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
