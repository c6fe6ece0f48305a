package conformance

import (
	"bytes"
	"context"
	"net"
	"net/url"
	"sync"
	"testing"
)

// A Wire stands between the program and Postgres. It can lose one answer: the request
// arrives and is carried out, and the connection is cut before the reply comes back.
type Wire struct {
	to    string
	mu    sync.Mutex
	armed *loss
	conns []net.Conn
	all   sync.WaitGroup
}

// A loss is the answer to be lost next: to the first request that holds mark.
type loss struct {
	mark    []byte
	unsent  bool // the request is lost, and not only its answer
	others  bool // every other connection breaks with it
	happens chan struct{}
}

// Through returns rawURL by way of a new wire.
func Through(tb testing.TB, rawURL string) (string, *Wire) {
	tb.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		tb.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	w := &Wire{to: u.Host}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	w.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.join(ctx, c)
		}
	})
	tb.Cleanup(func() { cancel(); _ = l.Close(); w.cut(); w.all.Wait() })
	u.Host = l.Addr().String()
	return u.String(), w
}

// LoseAnswer loses the answer to the next request that holds mark, and with it every
// other connection if others is set. It returns what tells that it has happened.
func (w *Wire) LoseAnswer(mark string, others bool) (happened <-chan struct{}) {
	return w.arm(&loss{mark: []byte(mark), others: others, happens: make(chan struct{})})
}

// LoseRequest loses the next request that holds mark before it arrives.
func (w *Wire) LoseRequest(mark string) (happened <-chan struct{}) {
	return w.arm(&loss{mark: []byte(mark), unsent: true, happens: make(chan struct{})})
}

func (w *Wire) arm(l *loss) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = l
	return l.happens
}

// strikes returns the loss that a request falls to, which strikes once.
func (w *Wire) strikes(request []byte) *loss {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.armed
	if l == nil || !bytes.Contains(request, l.mark) {
		return nil
	}
	w.armed = nil
	return l
}

func (w *Wire) join(ctx context.Context, down net.Conn) {
	up, err := new(net.Dialer).DialContext(ctx, "tcp", w.to)
	if err != nil {
		_ = down.Close()
		return
	}
	w.mu.Lock()
	w.conns = append(w.conns, down, up)
	w.mu.Unlock()
	struck := make(chan *loss, 1)
	w.all.Go(func() { defer up.Close(); w.forward(down, up, struck) })
	w.all.Go(func() { defer down.Close(); w.back(up, down, struck) })
}

// forward carries requests.
func (w *Wire) forward(down, up net.Conn, struck chan<- *loss) {
	for chunk := make([]byte, 64<<10); ; {
		n, err := down.Read(chunk)
		if l := w.strikes(chunk[:n]); l != nil {
			if l.unsent {
				_ = down.Close()
				close(l.happens)
				return
			}
			struck <- l
		}
		if n > 0 {
			if _, err := up.Write(chunk[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// back carries answers, until one is to be lost: what it has then, the database has
// done.
func (w *Wire) back(up, down net.Conn, struck <-chan *loss) {
	for chunk := make([]byte, 64<<10); ; {
		n, err := up.Read(chunk)
		select {
		case l := <-struck:
			if l.others {
				w.cut()
			}
			_ = down.Close()
			close(l.happens)
			return
		default:
		}
		if n > 0 {
			if _, err := down.Write(chunk[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// cut breaks every connection.
func (w *Wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		_ = c.Close()
	}
	w.conns = nil
}
