// Package keys owns the program's keys: nobody else sees a private one. It signs
// and verifies every token of the program, publishes the JWK Set, verifies what
// clients sign, encrypts to them and decrypts what they encrypt to us, and seals
// secrets at rest.
//
// # A key's life
//
// A key's state is a function of its dates and the database's clock, so all
// nodes agree without a message, and a node that was away agrees when it is back.
//
//	           Publish ahead           Lifetime                Retain
//	         (≥ 24 h, ≥ 2 MaxAge)     (30 days)       (longest token + 24 h)
//	created ──────────────► ActivateAt ───────► RetireAt ───────► RemoveAt
//	   │       next             │      active      │     retiring     │   gone
//	   │   published, waits     │      signs       │ only verified with
//	   │                        │                  │
//	   └────────────────────────┴── Revoke ────────┴──► gone at once
//
// The dates of one algorithm's keys form a chain: each retires in the moment its
// successor becomes active, so exactly one signs at any time. A successor is made
// when the active key comes near its end; one made too late, because no node was
// running, first lets its predecessor go on until it has been published long
// enough. When a key is revoked the published successor takes over at once.
//
// Keys that others encrypt to (Policy.Encrypt) live the same life, but only the
// active one is published: nobody needs to know a key before encrypting to it, and
// whoever sees several may take the oldest. Every node can decrypt with all of
// them, next, active and retiring, because a client keeps the set for a while.
//
// # A Ring
//
//	Load ──► plan (pure: keys, clock → keys) ──► Store.ChangeKeys, under its lock
//	  │                                            │ only when something is due
//	  └──────────► snapshot ◄──────────────────────┘
//	                  │ swapped atomically
//	   Sign, Verify, Decrypt, JWKS: no lock, no store
//
// # The keys of clients
//
// A client registers its public keys or the address of them: [ClientKeys].
// [VerifyWith] and [EncryptWith] take registered ones, [ClientSets] either kind and
// keep what they fetched. A confidential client may sign with its secret instead:
// [Secret], which shares no code path with public keys.
//
// # Rules
//
// A key has one algorithm and no token can choose another (RFC 8725 section 3.1).
// A kid is the RFC 7638 thumbprint of its key, so a changed row is noticed. A
// private key is sealed by the [Vault] and opened only while it can be used: a
// retiring one that signed stays shut. What a client sent is believed after its
// signature is verified, never because it was encrypted to us.
package keys
