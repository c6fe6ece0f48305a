package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // SHA-256 behind crypto.SHA256
	_ "crypto/sha512" // SHA-384 and SHA-512
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// The sizes of RSA keys we accept from others: below is weak, above is a way to
// make us work (security.md 5.4).
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// An algorithm is one digital signature of RFC 7518 section 3.1 or RFC 8037.
// There is no other kind here: nothing symmetric, no encryption, no "none".
type algorithm struct {
	kind  kind
	hash  crypto.Hash // zero for EdDSA, which hashes by itself
	curve string      // for ECDSA: P-256, P-384, P-521
	size  int         // for ECDSA: bytes of r and of s
}

type kind int

const (
	rsaPKCS kind = iota + 1
	rsaPSS
	ecdsaKind
	eddsaKind
)

// algorithmOf returns the algorithm called name, or ok false for every name we
// do not verify.
func algorithmOf(name string) (a algorithm, ok bool) {
	switch name {
	case RS256:
		return algorithm{kind: rsaPKCS, hash: crypto.SHA256}, true
	case "RS384":
		return algorithm{kind: rsaPKCS, hash: crypto.SHA384}, true
	case "RS512":
		return algorithm{kind: rsaPKCS, hash: crypto.SHA512}, true
	case PS256:
		return algorithm{kind: rsaPSS, hash: crypto.SHA256}, true
	case "PS384":
		return algorithm{kind: rsaPSS, hash: crypto.SHA384}, true
	case "PS512":
		return algorithm{kind: rsaPSS, hash: crypto.SHA512}, true
	case ES256:
		return algorithm{kind: ecdsaKind, hash: crypto.SHA256, curve: "P-256", size: 32}, true
	case "ES384":
		return algorithm{kind: ecdsaKind, hash: crypto.SHA384, curve: "P-384", size: 48}, true
	case "ES512":
		return algorithm{kind: ecdsaKind, hash: crypto.SHA512, curve: "P-521", size: 66}, true
	case EdDSA:
		return algorithm{kind: eddsaKind}, true
	default:
		return algorithm{}, false
	}
}

// fits says why public is no key for a, or nil if it is one (RFC 8725 section 3.1).
func (a algorithm) fits(public crypto.PublicKey) error {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if a.kind != rsaPKCS && a.kind != rsaPSS {
			return errors.New("an RSA key does not fit the algorithm")
		}
		return fitsRSA(k)
	case *ecdsa.PublicKey:
		if a.kind != ecdsaKind || curveName(k.Curve) != a.curve {
			return errors.New("an elliptic curve key does not fit the algorithm")
		}
	case ed25519.PublicKey:
		if a.kind != eddsaKind || len(k) != ed25519.PublicKeySize {
			return errors.New("an Ed25519 key does not fit the algorithm")
		}
	default:
		return fmt.Errorf("a %T is no public key we know", public)
	}
	return nil
}

func fitsRSA(k *rsa.PublicKey) error {
	if bits := k.N.BitLen(); bits < minRSABits || bits > maxRSABits {
		return fmt.Errorf("an RSA key has %d to %d bits, not %d", minRSABits, maxRSABits, bits)
	}
	if k.E < 3 || k.E%2 == 0 || k.N.Bit(0) == 0 {
		return errors.New("the RSA exponent or modulus is not odd and above 2")
	}
	return nil
}

func curveName(c elliptic.Curve) string { return c.Params().Name }

// digest returns what is signed of input: its hash, or input itself for EdDSA.
func (a algorithm) digest(input []byte) []byte {
	if a.hash == 0 {
		return input
	}
	h := a.hash.New()
	_, _ = h.Write(input)
	return h.Sum(nil)
}

// verify reports whether sig is the signature of input by public, which must
// fit a.
func (a algorithm) verify(public crypto.PublicKey, input, sig []byte) bool {
	digest := a.digest(input)
	switch k := public.(type) {
	case *rsa.PublicKey:
		if a.kind == rsaPSS {
			return rsa.VerifyPSS(k, a.hash, digest, sig, a.pss()) == nil
		}
		return rsa.VerifyPKCS1v15(k, a.hash, digest, sig) == nil
	case *ecdsa.PublicKey:
		if len(sig) != 2*a.size {
			return false
		}
		r, s := new(big.Int).SetBytes(sig[:a.size]), new(big.Int).SetBytes(sig[a.size:])
		return ecdsa.Verify(k, digest, r, s)
	case ed25519.PublicKey:
		return ed25519.Verify(k, input, sig)
	default:
		return false
	}
}

// pss is the salt as long as the hash, which RFC 7518 section 3.5 demands.
func (a algorithm) pss() *rsa.PSSOptions {
	return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: a.hash}
}

// sign returns the JWS signature of input by signer, whose key must fit a.
func (a algorithm) sign(signer crypto.Signer, input []byte) ([]byte, error) {
	var opts crypto.SignerOpts = a.hash
	if a.kind == rsaPSS {
		opts = a.pss()
	}
	sig, err := signer.Sign(rand.Reader, a.digest(input), opts)
	if err != nil || a.kind != ecdsaKind {
		return sig, err
	}
	return a.concat(sig)
}

// concat turns the ASN.1 form of an ECDSA signature, which every crypto.Signer
// returns, into the r || s of RFC 7518 section 3.4.
func (a algorithm) concat(der []byte) ([]byte, error) {
	var r, s []byte
	in, seq := cryptobyte.String(der), cryptobyte.String{}
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !in.Empty() || !seq.ReadASN1Integer(&r) ||
		!seq.ReadASN1Integer(&s) || !seq.Empty() || len(r) > a.size || len(s) > a.size {
		return nil, errors.New("the signer returned no ECDSA signature")
	}
	out := make([]byte, 2*a.size)
	copy(out[a.size-len(r):], r)
	copy(out[2*a.size-len(s):], s)
	return out, nil
}
