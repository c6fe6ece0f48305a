package oauth2

import (
	"crypto/rand"
	"strings"
	"unicode"
)

// userAlphabet are consonants: they spell no word, and none of them is a digit that
// could be taken for a letter (RFC 8628 section 6.1).
//
// Eight of twenty letters are 20⁸, some 2.6·10¹⁰ codes, 34.6 bits. A code lives ten
// minutes, in which one address may try forty (ratelimit.Rules.DeviceAddress): with
// a thousand devices waiting at once, a thousand addresses that guess all that time
// hit one with a probability of 40·1000·1000 / 2.6·10¹⁰, one in 640 – and have then
// tied somebody's device to an account of their own, which its owner sees on it. The
// device code, which is what is worth stealing, has 256 bits (RFC 8628 section 5.1).
const (
	userAlphabet = "BCDFGHJKLMNPQRSTVWXZ"
	userLength   = 8
	userGroup    = 4
)

// newUserCode returns a code as ParseUserCode returns it.
func newUserCode() string {
	const fair = 256 / len(userAlphabet) * len(userAlphabet) // what is above would favour the first letters
	code := make([]byte, 0, userLength)
	for len(code) < userLength {
		var b [2 * userLength]byte
		_, _ = rand.Read(b[:]) // never fails (crypto/rand)
		for _, v := range b {
			if int(v) < fair && len(code) < userLength {
				code = append(code, userAlphabet[int(v)%len(userAlphabet)])
			}
		}
	}
	return string(code)
}

// FormatUserCode shows a code in groups people can read out: WDJB-MJHT.
func FormatUserCode(code string) string {
	if len(code) != userLength {
		return code
	}
	return code[:userGroup] + "-" + code[userGroup:]
}

// lookalikes are what people type for a letter of ours that they misread.
var lookalikes = map[rune]byte{'0': 'Q', 'O': 'Q', '1': 'L', 'I': 'L', '2': 'Z', '5': 'S', '6': 'G', '7': 'T', '8': 'B', 'U': 'V'}

// maxTyped bounds what is looked at of what was typed, in bytes.
const maxTyped = 64

// ParseUserCode reads a code as people type it: in any case, with or without
// spaces, dashes and dots, a digit for the letter that looks like it. It reports
// false for what cannot be a code.
func ParseUserCode(typed string) (code string, ok bool) {
	if len(typed) > maxTyped {
		return "", false
	}
	out := make([]byte, 0, userLength)
	for _, r := range typed {
		if unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) || r == '.' || r == '_' {
			continue
		}
		r = unicode.ToUpper(r)
		letter, known := lookalikes[r]
		switch {
		case known:
		case r < unicode.MaxASCII && strings.IndexByte(userAlphabet, byte(r)) >= 0: //nolint:gosec // G115: it is ASCII
			letter = byte(r) //nolint:gosec // G115: it is ASCII
		default:
			return "", false
		}
		if len(out) == userLength {
			return "", false
		}
		out = append(out, letter)
	}
	return string(out), len(out) == userLength
}

// hashUserCode is what is kept of a user code. Whoever reads the store could try
// all codes against a plain hash in seconds, so it is a keyed one.
func (p *Provider) hashUserCode(code string) []byte {
	return p.cfg.Vault.MAC("user-code", []byte(code))
}
