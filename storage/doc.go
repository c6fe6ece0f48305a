// Package storage keeps everything durable, in Postgres or SQLite. One *DB
// implements the Store of every feature; it has no rule of its own and knows
// none of their handlers.
//
//	feature ──► DB method ──► query (one text, or one per dialect)
//	                            │
//	             in a transaction of the context? ──yes──► that transaction
//	                            │ no
//	              ┌─────────────┴──────────────┐
//	           Postgres                      SQLite
//	    pgx pool, one statement     one writer, N readers, WAL
//	              └─────────────┬──────────────┘
//	                         commit ──► bell: who caches this must look again
//
// The rules of the house:
//
//   - Single use is one conditional statement with RETURNING, never a read and
//     then a write, and never a count of affected rows.
//   - A change and its event are one statement on Postgres (a data-modifying CTE)
//     and one short transaction on SQLite. See change.
//   - Expiry is decided in SQL by the database's clock. A time is an integer of
//     microseconds since 1970, 0 where there is none.
//   - Errors are faults: NotFound, Conflict, Unavailable for a database that did
//     not answer, Internal for the rest. What the driver said is the cause, which
//     is logged and never shown.
//   - Everything waits a bounded time: 2 s for a connection, 1 s for a lock, 3 s
//     for a statement, 5 s for an answer.
//
// An event is written to the outbox by its change. After the commit, one node at
// a time moves it to the trail, where it gets a position without gaps and its
// place in the hash chain; so a reader that remembers a position misses nothing,
// although transactions commit in another order than they began.
package storage
