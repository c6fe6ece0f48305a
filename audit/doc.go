// Package audit keeps the trail of security events: who did what to whom, from
// where, and why a request was refused. docs/events.md lists the kinds.
//
// Its rules:
//
//   - No change without its event. Whoever changes something calls Record inside
//     the transaction of the change, or hands Fill's event to a Store that writes
//     it in the same statement. If the event cannot be written, nothing changes.
//   - A refusal changes nothing, so it does not wait: Refuse puts it into a
//     bounded queue. What the queue has no room for is counted, in a metric and in
//     one event that says how many.
//   - An event gets its position after it is committed, never before. Ids are made
//     by the writers and commit in any order, so a reader that remembers "the last
//     id" would miss events; a reader that remembers the last position misses none.
//   - Positions have no gaps, and each event's hash covers the one before (Link), so
//     a row that was changed or taken out of the middle is found by Verify.
//
// The flow:
//
//	Record ─▶ Store.AppendEvents ─────────────┐ (the transaction of the change)
//	Fill ──▶ a Store's own statement ─────────┤
//	Refuse ─▶ queue (1024) ─▶ batches of 64 ──┤ (Run)
//	                                          ▼
//	                              events without position
//	                                          │ Sequence: one node at a time
//	                                          ▼
//	                     position 1, 2, 3 … each with its hash ─▶ Events
//	                                          └─▶ outlets
//
// Outlets, which carry events on to others (a stream, webhooks, open browsers),
// have their place behind the positions: each keeps a cursor of its own, reads
// Events after it, and so sees every event at least once and in order, however
// slow it is and whoever wrote the event.
package audit
