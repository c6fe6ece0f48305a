// Package flight does once what many ask for at the same time, and lets nobody
// wait long for it: one flight per key, which outlives whoever asked first, and a
// bounded number of passengers, each with a bounded patience.
//
//	ask ──► join the flight of this key, or begin it
//	                │
//	       room to wait? ── no ──► ErrFull
//	                │ yes
//	       step aside, wait ──► the result · ErrLate · the caller left
//
// Waiting for somebody else's server must not take the place of a request that
// needs nobody. A context that carries a [Caller] is told before the waiting begins
// and after it ends, so that the road counts the request out while it waits.
package flight
