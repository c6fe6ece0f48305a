package identity

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"hash"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
)

// What a stored hash may ask of this machine. An imported hash is outside input:
// without these a single row could take all memory or a minute of CPU.
const (
	maxPHC        = 512        // bytes
	maxMemory     = 256 << 10  // KiB, of Argon2id and scrypt
	maxTime       = 16         // passes of Argon2id
	maxThreads    = 16         // lanes of Argon2id, parallelism of scrypt
	maxIterations = 2_000_000  // of PBKDF2
	minIterations = 1_000      // of PBKDF2
	maxBcryptCost = 14         // about two seconds
	maxBcrypt     = 72         // bytes of password bcrypt looks at
	minSalt       = 8          // bytes
	maxSalt       = 64         // bytes
	minTag        = 16         // bytes
	maxTag        = 64         // bytes
	argonVersion  = "v=19"     // Argon2 1.3 (RFC 9106 section 3.1)
	argonID       = "argon2id" // RFC 9106
	kibPerBlock   = 8          // least memory of one Argon2 lane (RFC 9106 section 3.1)
)

var errPHC = errors.New("not a password hash this program can verify")

// Params are the cost of Argon2id (RFC 9106 section 3.1).
type Params struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8  // lanes
}

// argonHash is a parsed $argon2id$v=19$m=…,t=…,p=…$salt$tag.
type argonHash struct {
	Params
	salt, tag []byte
}

// String returns the PHC string.
func (h argonHash) String() string {
	b64 := base64.RawStdEncoding
	return "$" + argonID + "$" + argonVersion +
		"$m=" + strconv.FormatUint(uint64(h.Memory), 10) +
		",t=" + strconv.FormatUint(uint64(h.Time), 10) +
		",p=" + strconv.FormatUint(uint64(h.Threads), 10) +
		"$" + b64.EncodeToString(h.salt) + "$" + b64.EncodeToString(h.tag)
}

func (h argonHash) derive(password []byte) []byte {
	return argon2.IDKey(password, h.salt, h.Time, h.Memory, h.Threads, uint32(len(h.tag))) //nolint:gosec // a tag has at most 64 bytes
}

// A foreign verifies a password against a hash some other program made.
type foreign func(password []byte) bool

// parsePHC reads a stored hash: our own, or else one of another program.
func parsePHC(s string) (own *argonHash, other foreign, err error) {
	if len(s) > maxPHC || !strings.HasPrefix(s, "$") {
		return nil, nil, errPHC
	}
	parts := strings.Split(s[1:], "$")
	switch name := parts[0]; name {
	case argonID:
		own, err = parseArgon(parts)
	case "2a", "2b", "2y":
		other, err = parseBcrypt(s, parts)
	case "scrypt":
		other, err = parseScrypt(parts)
	case "pbkdf2-sha256":
		other, err = parsePBKDF2(parts, sha256.New)
	case "pbkdf2-sha512":
		other, err = parsePBKDF2(parts, sha512.New)
	default:
		err = errPHC
	}
	return own, other, err
}

func parseArgon(parts []string) (*argonHash, error) {
	if len(parts) != 5 || parts[1] != argonVersion {
		return nil, errPHC
	}
	n, err := parseCosts(parts[2], cost{"m", kibPerBlock, maxMemory}, cost{"t", 1, maxTime}, cost{"p", 1, maxThreads})
	if err != nil || n[0] < kibPerBlock*n[2] {
		return nil, errPHC
	}
	salt, tag, err := parseSaltAndTag(parts[3], parts[4])
	if err != nil {
		return nil, err
	}
	return &argonHash{Params{uint32(n[0]), uint32(n[1]), uint8(n[2])}, salt, tag}, nil //nolint:gosec // parseCosts bounds all three
}

func parseBcrypt(s string, parts []string) (foreign, error) {
	if len(parts) != 3 || len(parts[2]) != 53 {
		return nil, errPHC
	}
	phc := []byte(s)
	if c, err := bcrypt.Cost(phc); err != nil || c > maxBcryptCost {
		return nil, errPHC
	}
	return func(password []byte) bool {
		if len(password) > maxBcrypt { // what lies behind byte 72 was never part of the hash: refused, not cut off
			return false
		}
		return bcrypt.CompareHashAndPassword(phc, password) == nil
	}, nil
}

// parseScrypt reads $scrypt$ln=16,r=8,p=1$salt$tag.
func parseScrypt(parts []string) (foreign, error) {
	if len(parts) != 4 {
		return nil, errPHC
	}
	n, err := parseCosts(parts[1], cost{"ln", 1, 24}, cost{"r", 1, 64}, cost{"p", 1, maxThreads})
	if err != nil || n[1]<<n[0]/8 > maxMemory { // 128·r·2^ln bytes
		return nil, errPHC
	}
	salt, tag, err := parseSaltAndTag(parts[2], parts[3])
	if err != nil {
		return nil, err
	}
	return func(password []byte) bool {
		got, err := scrypt.Key(password, salt, 1<<n[0], n[1], n[2], len(tag))
		return err == nil && subtle.ConstantTimeCompare(got, tag) == 1
	}, nil
}

// parsePBKDF2 reads $pbkdf2-sha256$i=600000$salt$tag, with or without ",l=32", and
// the form of passlib: a bare number, and "." for "+".
func parsePBKDF2(parts []string, h func() hash.Hash) (foreign, error) {
	if len(parts) != 4 {
		return nil, errPHC
	}
	salt, tag, err := parseSaltAndTag(strings.ReplaceAll(parts[2], ".", "+"), strings.ReplaceAll(parts[3], ".", "+"))
	if err != nil {
		return nil, err
	}
	rounds := strings.TrimSuffix(strings.TrimPrefix(parts[1], "i="), ",l="+strconv.Itoa(len(tag)))
	n, err := parseCosts("i="+rounds, cost{"i", minIterations, maxIterations})
	if err != nil {
		return nil, err
	}
	return func(password []byte) bool {
		got, err := pbkdf2.Key(h, string(password), salt, n[0], len(tag))
		return err == nil && subtle.ConstantTimeCompare(got, tag) == 1
	}, nil
}

// A cost is one parameter of a hash and its bounds.
type cost struct {
	name     string
	min, max int
}

// parseCosts reads "m=19456,t=2,p=1": these names, in this order, as decimal
// numbers without sign or leading zero.
func parseCosts(s string, costs ...cost) ([]int, error) {
	fields := strings.Split(s, ",")
	if len(fields) != len(costs) {
		return nil, errPHC
	}
	values := make([]int, len(costs))
	for i, c := range costs {
		digits, ok := strings.CutPrefix(fields[i], c.name+"=")
		n, err := strconv.Atoi(digits)
		if !ok || err != nil || strconv.Itoa(n) != digits || n < c.min || n > c.max {
			return nil, errPHC
		}
		values[i] = n
	}
	return values, nil
}

func parseSaltAndTag(s, t string) (salt, tag []byte, err error) {
	b64 := base64.RawStdEncoding.Strict()
	salt, err1 := b64.DecodeString(s)
	tag, err2 := b64.DecodeString(t)
	if err1 != nil || err2 != nil || len(salt) < minSalt || len(salt) > maxSalt || len(tag) < minTag || len(tag) > maxTag {
		return nil, nil, errPHC
	}
	return salt, tag, nil
}
