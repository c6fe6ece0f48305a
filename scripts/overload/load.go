package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A request is sent as it is, so that the generator, which shares the machine with
// the server, costs little beside it.
type request struct {
	class string
	bytes []byte
}

// An offer is a request and how often it is made, in a second.
type offer struct {
	request
	rate float64
}

// A class counts what became of the requests of one kind.
type class struct {
	asked, accepted, refused, failed int
	took, refusedTook                []time.Duration
}

type tally struct {
	mu      sync.Mutex
	classes map[string]*class
}

func newTally() *tally { return &tally{classes: map[string]*class{}} }

func (t *tally) of(name string) *class {
	c := t.classes[name]
	if c == nil {
		c = &class{}
		t.classes[name] = c
	}
	return c
}

// note counts one request that took so long.
func (t *tally) note(name string, status int, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.of(name)
	c.asked++
	switch status {
	case 200:
		c.accepted++
		c.took = append(c.took, took)
	case 503:
		c.refused++
		c.refusedTook = append(c.refusedTook, took)
	default:
		c.failed++
	}
}

// at returns the p-th percentile of accepted answers in milliseconds.
func (c *class) at(p int) float64 { return percentile(c.took, p) }

func (c *class) refusedAt(p int) float64 { return percentile(c.refusedTook, p) }

func percentile(d []time.Duration, p int) float64 {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return float64(d[min(len(d)-1, len(d)*p/100)].Microseconds()) / 1000
}

// A conn is one kept connection.
type conn struct {
	addr string
	c    net.Conn
	r    *bufio.Reader
}

func (c *conn) close() {
	if c.c != nil {
		_ = c.c.Close() // nothing is under way
		c.c = nil
	}
}

// do sends r and returns the status of the answer.
func (c *conn) do(ctx context.Context, r request) (status int, err error) {
	if c.c == nil {
		d := net.Dialer{Timeout: 5 * time.Second}
		if c.c, err = d.DialContext(ctx, "tcp", c.addr); err != nil {
			c.c = nil
			return 0, err
		}
		c.r = bufio.NewReaderSize(c.c, 4096)
	}
	if err := c.c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return 0, err
	}
	if _, err = c.c.Write(r.bytes); err == nil {
		status, err = answer(c.r)
	}
	if err != nil {
		c.close()
	}
	return status, err
}

// answer reads one answer with a length.
func answer(r *bufio.Reader) (status int, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil || len(line) < 12 {
		return 0, errors.Join(err, errors.New("no status line"))
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, err
	}
	length := -1
	for {
		if line, err = r.ReadSlice('\n'); err != nil {
			return 0, err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(v)); err != nil {
				return 0, err
			}
		}
	}
	if length < 0 {
		return 0, errors.New("an answer without a length")
	}
	_, err = r.Discard(length)
	return status, err
}

// closedLoop lets n workers ask, each as soon as it was answered.
func (x *experiment) closedLoop(ctx context.Context, r request, n int, t *tally) {
	asking, cancel := context.WithTimeout(ctx, x.calibrate)
	defer cancel()
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			c := conn{addr: x.addr}
			defer c.close()
			for asking.Err() == nil {
				began := time.Now()
				status, _ := c.do(ctx, r) // a failure has no status, and is counted
				t.note(r.class, status, time.Since(began))
			}
		})
	}
	all.Wait()
}

// due is a request and when it should have been sent.
type due struct {
	request
	at time.Time
}

// openLoop asks at the offered rates, whatever the answers do. The time of an
// answer begins when its request was due, so that waiting for a connection counts.
func (x *experiment) openLoop(ctx context.Context, offers []offer, t *tally) {
	offering, cancel := context.WithTimeout(ctx, x.offer)
	defer cancel()
	queue := make(chan due, 4*x.conns)
	var all sync.WaitGroup
	for range x.conns {
		all.Go(func() {
			c := conn{addr: x.addr}
			defer c.close()
			for d := range queue {
				status, _ := c.do(ctx, d.request) // a failure has no status, and is counted
				t.note(d.class, status, time.Since(d.at))
			}
		})
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	began, sent := time.Now(), make([]int, len(offers))
	for offering.Err() == nil {
		<-tick.C
		now := time.Now()
		for i, o := range offers {
			for ; float64(sent[i]) < o.rate*now.Sub(began).Seconds(); sent[i]++ {
				select {
				case queue <- due{o.request, now}:
				default:
					t.note(o.class, 0, 0) // the generator itself is full: asked, and not answered
				}
			}
		}
	}
	close(queue)
	all.Wait()
}
