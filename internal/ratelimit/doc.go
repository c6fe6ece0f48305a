// Package ratelimit decides whether one more attempt under a name is allowed.
//
// The algorithm is GCRA: a bucket is one number, its theoretical arrival time,
// so the same rule runs in one Lua call on Redis and under one lock in memory.
//
//	            Burst·Period
//	       ├─────────────────────┤
//	───────┼──────────┼──────────┼───────► time
//	    earliest     now      arrival + Period     allowed while earliest ≤ now
//
// The rules themselves are values (Defaults); where the numbers are kept is a
// Source, of which package storage/state has two. A limit is never opened by the
// loss of a Source: it becomes stricter.
package ratelimit
