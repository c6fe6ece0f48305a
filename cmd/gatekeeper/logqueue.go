package main

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	logRoom  = 4 << 20  // bytes that may wait to be written
	logBatch = 64 << 10 // bytes of one write
	logFlush = 2 * time.Second
)

// A logQueue stands between the server and whoever reads what it says. Nobody
// waits for a reader: what there is no room for is dropped and counted, and the
// next line that is written says how many are missing.
//
//	Write ──► 4 MiB ──► one goroutine ──► stderr, a pipe, a terminal
//	             └─ full: dropped
type logQueue struct {
	out  io.Writer
	wake chan struct{} // holds one
	quit chan struct{}
	done chan struct{}

	mu      sync.Mutex
	waiting []byte
	writing int // bytes under way
	closed  bool
	json    bool  // the lines are objects
	missing int64 // dropped since the last line that said so
	dropped atomic.Int64
}

// newLogQueue returns a queue before out; Close flushes it.
func newLogQueue(out io.Writer) *logQueue {
	q := &logQueue{out: out, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	go q.run()
	return q
}

// Write takes one line, or drops it. It never waits.
func (q *logQueue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return q.last(line)
	}
	if len(q.waiting)+q.writing+len(line) > logRoom {
		q.drop(1)
		return len(line), nil
	}
	q.waiting = append(q.waiting, line...)
	q.json = bytes.HasPrefix(line, []byte{'{'})
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return len(line), nil
}

// last writes what comes after the end, such as why the program failed, and waits
// for it no longer than for the rest.
func (q *logQueue) last(line []byte) (int, error) {
	written, p := make(chan error, 1), bytes.Clone(line)
	go func() {
		_, err := q.out.Write(p)
		written <- err
	}()
	timer := time.NewTimer(logFlush)
	defer timer.Stop()
	select {
	case err := <-written:
		return len(line), err
	case <-timer.C:
		q.drop(1)
		return len(line), nil
	}
}

func (q *logQueue) drop(n int64) {
	q.missing += n
	q.dropped.Add(n)
}

// run writes what waits, in batches, until Close.
func (q *logQueue) run() {
	defer close(q.done)
	for {
		for q.write() {
		}
		select {
		case <-q.wake:
		case <-q.quit:
			for q.write() {
			}
			return
		}
	}
}

// write writes one batch of whole lines and reports whether there was one.
func (q *logQueue) write() bool {
	q.mu.Lock()
	batch, missing, json := q.waiting, q.missing, q.json
	if len(batch) > logBatch {
		if i := bytes.LastIndexByte(batch[:logBatch], '\n'); i >= 0 {
			batch = batch[:i+1]
		}
	}
	batch = bytes.Clone(batch)
	q.waiting = append(q.waiting[:0], q.waiting[len(batch):]...)
	if cap(q.waiting) > logBatch && len(q.waiting) == 0 {
		q.waiting = nil
	}
	q.writing, q.missing = len(batch), 0
	q.mu.Unlock()
	if len(batch) == 0 && missing == 0 {
		return false
	}
	if missing > 0 {
		batch = append(batch, gap(json, missing)...)
	}
	_, err := q.out.Write(batch)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.writing = 0
	if err != nil { // nobody reads any more
		q.drop(int64(bytes.Count(batch, []byte{'\n'})))
		q.missing = 0
	}
	return true
}

// gap is the line that says how many are missing, in the form of the others.
func gap(json bool, missing int64) string {
	if json {
		return fmt.Sprintf("{\"level\":\"WARN\",\"msg\":\"log lines were dropped\",\"event\":\"log_dropped\",\"count\":%d}\n", missing)
	}
	return fmt.Sprintf("level=WARN msg=\"log lines were dropped\" event=log_dropped count=%d\n", missing)
}

// Close writes what waits, for two seconds at most: a reader that is away cannot
// hold the end of the program up.
func (q *logQueue) Close() {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return
	}
	q.closed = true
	q.mu.Unlock()
	close(q.quit)
	timer := time.NewTimer(logFlush)
	defer timer.Stop()
	select {
	case <-q.done:
	case <-timer.C:
	}
}
