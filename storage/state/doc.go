// Package state keeps what may be forgotten: the arrival times of the rate limits,
// in Redis where nodes share them and in memory otherwise.
//
//	attempt ──► Redis, one Lua call on Redis's own clock
//	              │ no answer in 50 ms, or known to be away
//	              └──► Memory of this node, with the rule divided by the nodes
//
// Losing it never opens a limit: without Redis every node allows its share and no
// more. A Redis that is away costs one attempt its timeout; after that nobody asks
// it until a probe in the background has had an answer.
package state
