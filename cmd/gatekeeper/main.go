package main

import (
	"os"
	"os/user"
	"strings"
	"time"

	"golang.org/x/term"
)

func main() { os.Exit(realMain()) }

func realMain() int {
	ctx, stop := untilSignal()
	defer stop()
	return run(ctx, hostWorld())
}

// hostWorld is the world of a real process.
func hostWorld() world {
	dir, err := os.Getwd()
	if err != nil {
		dir = "."
	}
	return world{
		Args:      os.Args[1:],
		Environ:   os.Environ(),
		Dir:       dir,
		User:      osUser(),
		Stdin:     os.Stdin,
		Stdout:    os.Stdout,
		Stderr:    os.Stderr,
		StdinTTY:  term.IsTerminal(int(os.Stdin.Fd())),
		StdoutTTY: term.IsTerminal(int(os.Stdout.Fd())),
		StderrTTY: term.IsTerminal(int(os.Stderr.Fd())),
		Now:       time.Now,
		Browse:    browse,
	}
}

// osUser names who types, for the trail. A container may have no such name.
func osUser() string {
	u, err := user.Current()
	if err != nil {
		return "unknown"
	}
	if i := strings.LastIndexByte(u.Username, '\\'); i >= 0 { // DOMAIN\name
		return u.Username[i+1:]
	}
	return u.Username
}
