// Package flow holds the modules about the authorization flow that several
// profiles share. Each profile has its own list of them; which variants a module
// is meant for it says itself. A variable of this package is one module: its name,
// its promise, where the promise is made, and a function that puts it to the test.
package flow
