package keys

import (
	"maps"
	"sync/atomic"
)

// memoMax bounds a memo. Names are constants of the program, so that it is never
// reached; should a caller let outsiders choose one, memory still stays small.
const memoMax = 128

// A memo remembers what was derived for a name; reading takes no lock and no memory.
type memo[T any] struct {
	known atomic.Pointer[map[string]T]
}

// of returns what is remembered for name, or builds it.
func (m *memo[T]) of(name string, build func(name string) T) T {
	known := m.known.Load()
	if known == nil {
		known = &map[string]T{}
		if !m.known.CompareAndSwap(nil, known) {
			known = m.known.Load()
		}
	}
	if v, ok := (*known)[name]; ok {
		return v
	}
	v := build(name)
	if len(*known) < memoMax {
		more := maps.Clone(*known)
		more[name] = v
		m.known.CompareAndSwap(known, &more) // who loses the race builds it once more
	}
	return v
}
