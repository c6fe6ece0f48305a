// Package identity knows who people are: users, their passwords, and their
// browser sessions. It speaks no HTTP, and every rule about people is here.
//
// Its rules:
//
//   - A user is found by one spelling of their address: NormalizeEmail, and
//     nothing else, makes the key of the row, of the limits and of the CLI.
//   - Every change is one transaction with its event (package audit).
//   - An answer to a wrong password says nothing else: unknown user, locked user,
//     user without a password and wrong password cost the same hash and the same
//     statements, meet the same limits and delays, and read the same.
//   - Of tokens and set-up links only the SHA-256 is stored; of passwords an
//     Argon2id hash in a PHC string. Hashing has its own bounded queue.
//   - The store's clock decides delays and ends; the program's clock stamps the
//     whole second of a sign-in, which applications see as auth_time.
//
// A sign-in:
//
//	Authenticate
//	  limits ── address, address+account, spraying ──▶ too_many_attempts
//	  lane ──── at most 5 attempts on an account at once
//	  look up ─ user, password and clock in one round trip
//	  delay ─── 5 misses free, then 1, 2, 4 … 60 s ──▶ too_many_attempts
//	  hash ──── the user's, or a decoy of the same cost
//	  miss ───▶ { count · lock every 100 · login.failed }  ──▶ invalid_credentials
//	  match ──▶ { forget misses · rehash · login.succeeded }
//	Begin ────▶ { end the previous or renew it · put · drop the oldest · events }
//
// A session:
//
//	Begin ─▶ live ─▶ ended     by End, Lock, SetPassword, DeleteUser, or by being the oldest of too many
//	         │  ▲└─▶ expired   idle for SessionIdle, or SessionAbsolute after the sign-in
//	         └──┘ Resume (seen), Begin (signed in again: same id, new cookie)
package identity
