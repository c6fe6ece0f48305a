package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	maxSecretFile = 64 << 10
	maxInputFile  = 16 << 20
)

var errTooBig = errors.New("too big")

// path is name seen from the directory the program was started in.
func (a *app) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(a.Dir, name)
}

// readFile reads a file of at most most bytes; - is standard input.
func (a *app) readFile(name string, most int64) ([]byte, error) {
	if name == "-" {
		return readAll("standard input", a.Stdin, most)
	}
	f, err := os.Open(a.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("there is no file %s", name)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	defer func() { _ = f.Close() }() // only read
	return readAll(name, f, most)
}

// readBounded is os.ReadFile for files of settings, none of which is large.
func readBounded(name string) ([]byte, error) {
	f, err := os.Open(filepath.Clean(name))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	return readAll(name, f, maxInputFile)
}

func readAll(name string, r io.Reader, most int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(b)) > most {
		return nil, fmt.Errorf("read %s: %w: more than %d bytes", name, errTooBig, most)
	}
	return bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), nil // editors of other systems put a byte-order mark there
}

// readSecret reads one line: a secret with the end of its line taken off.
func (a *app) readSecret(name string) (string, error) {
	b, err := a.readFile(name, maxSecretFile)
	if err != nil {
		return "", err
	}
	b = bytes.TrimRight(b, "\r\n")
	if len(b) == 0 {
		return "", usagef("%s holds no secret", name)
	}
	if bytes.ContainsAny(b, "\r\n\x00") {
		return "", usagef("%s holds more than one line", name)
	}
	return string(b), nil
}

// A secretOut is a file that will hold a secret: made before anything is
// changed, so that the secret cannot be lost for want of a place.
type secretOut struct {
	file *os.File
	name string
}

// createSecretOut makes the file, readable by its owner only. It never
// overwrites one. An empty name makes none.
func (a *app) createSecretOut(name string) (*secretOut, error) {
	if name == "" {
		return nil, nil //nolint:nilnil // no file was asked for: keep and drop know what nil means
	}
	f, err := os.OpenFile(a.path(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, &exitError{exitConflict, fmt.Errorf("%s exists already; a secret never overwrites a file", name)}
	}
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	return &secretOut{f, name}, nil
}

// keep writes the secret and closes the file.
func (s *secretOut) keep(secret string) error {
	_, err := s.file.WriteString(secret + "\n")
	if err = errors.Join(err, s.file.Sync(), s.file.Close()); err != nil {
		return fmt.Errorf("write the secret to %s: %w", s.name, err)
	}
	return nil
}

// drop removes the file: there is no secret to keep.
func (s *secretOut) drop() {
	if s != nil {
		_ = s.file.Close()           // nothing was written
		_ = os.Remove(s.file.Name()) // an empty file left behind harms nobody
	}
}

// confirm asks before something is lost. Where nobody can be asked, only --yes lets
// it go ahead.
func (a *app) confirm(format string, args ...any) error {
	if a.global.yes {
		return nil
	}
	if !a.StdinTTY || !a.StderrTTY {
		return usagef("nothing was changed: there is no terminal to ask on; say --yes to go ahead")
	}
	_, _ = fmt.Fprint(a.Stderr, clean(fmt.Sprintf(format, args...))+" [y/N] ") // a closed stderr has nobody to tell
	line, err := bufio.NewReader(a.Stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return &exitError{exitFailed, errors.New("nothing was changed")}
	}
	return nil
}
