// Package conformance holds the program to what it promises: the laws of this
// house (house_test.go), the contract of every Store (Storage), and the protocol
// as an outsider sees it, driven against the running binary on SQLite and on two
// nodes over Postgres and Redis.
package conformance
