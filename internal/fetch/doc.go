// Package fetch speaks to addresses that other people chose: a client's keys, its
// request objects, its sector document, its logo, its logout endpoint. Whoever
// registers an address could point it at what only this machine can reach, so
// there is one client for all of them, and it follows few rules strictly.
//
//	URL ──► checkURL ──► resolve ──► checkAddress, each answer ──► dial that address
//	        https,       once        public, or allowed             │ checked again by
//	        no user                                                 ▼ the socket itself
//	body ◄── size ◄── content type ◄── status, no redirect ◄── TLS ≥ 1.2, our time limit
//
// The address that was checked is the one that is dialled, so a name that
// resolves differently the second time gains nothing. There is no proxy, no
// cookie, no redirect, no decompression, and no connection outlives its request.
//
// An error is ErrRefused, a rule of ours, or ErrUnreachable, the other side's
// doing. Its text is for the log: what it says about an address must not reach
// whoever chose that address, or it becomes a map of the network.
package fetch
