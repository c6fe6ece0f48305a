//go:build !openssl

package keys

// DefaultSource returns the source this build signs with: Go's own cryptography.
func DefaultSource() Source { return Software{} }

// SourceName says what DefaultSource signs RSA with, for `version` and a metric.
func SourceName() string { return "go" }
