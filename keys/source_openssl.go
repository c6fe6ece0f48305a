//go:build openssl

package keys

/*
#cgo pkg-config: libcrypto
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

// gk_ctx readies a signing context for one key and padding.
static EVP_PKEY_CTX *gk_ctx(EVP_PKEY *key, int padding) {
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	if (ctx == NULL) return NULL;
	if (EVP_PKEY_sign_init(ctx) <= 0 ||
	    EVP_PKEY_CTX_set_rsa_padding(ctx, padding) <= 0 ||
	    EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) <= 0 ||
	    (padding == RSA_PKCS1_PSS_PADDING && EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) <= 0)) {
		EVP_PKEY_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

static EVP_PKEY *gk_key(const unsigned char *der, long len) {
	return d2i_AutoPrivateKey(NULL, &der, len);
}
*/
import "C"

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"
	"unsafe"
)

// An opensslSource opens RSA keys in libcrypto, which signs with RSA-2048 two to
// three times as fast as Go; everything else is Software's.
type opensslSource struct{ Software }

// DefaultSource returns the source this build signs with: libcrypto for RSA.
func DefaultSource() Source { return opensslSource{} }

// SourceName says what DefaultSource signs RSA with, for `version` and a metric.
func SourceName() string { return "openssl " + C.GoString(C.OpenSSL_version(C.OPENSSL_VERSION_STRING)) }

// Generate makes a key as Software does and signs RSA in libcrypto.
func (s opensslSource) Generate(ctx context.Context, alg string) (crypto.Signer, []byte, error) {
	signer, der, err := s.Software.Generate(ctx, alg)
	if err != nil {
		return nil, nil, err
	}
	if signer, err = inOpenSSL(alg, signer, der); err != nil {
		clear(der)
		return nil, nil, err
	}
	return signer, der, nil
}

// Open opens an RSA key in libcrypto, another one in Go.
func (s opensslSource) Open(ctx context.Context, alg string, private []byte) (crypto.Signer, error) {
	signer, err := s.Software.Open(ctx, alg, private)
	if err != nil {
		return nil, err
	}
	return inOpenSSL(alg, signer, private)
}

// An opensslSigner signs SHA-256 digests with one RSA key and one padding. Its
// contexts are reused: making one costs a good part of a signature.
type opensslSigner struct {
	public  *rsa.PublicKey
	key     *C.EVP_PKEY
	padding C.int
	idle    chan *C.EVP_PKEY_CTX
}

// inOpenSSL moves an RSA signer into libcrypto and lets it prove itself against
// crypto/rsa before it signs anything for others. There is no falling back: who
// built with the tag is told. A key that decrypts stays in Go.
func inOpenSSL(alg string, signer crypto.Signer, der []byte) (crypto.Signer, error) {
	private, ok := signer.(*rsa.PrivateKey)
	if !ok || len(der) == 0 || encrypts(alg) {
		return signer, nil
	}
	padding := C.int(C.RSA_PKCS1_PADDING)
	if alg == PS256 {
		padding = C.RSA_PKCS1_PSS_PADDING
	}
	key := C.gk_key((*C.uchar)(unsafe.Pointer(unsafe.SliceData(der))), C.long(len(der)))
	if key == nil {
		return nil, errors.New("openssl: the key does not parse")
	}
	s := &opensslSigner{
		public: &private.PublicKey, key: key, padding: padding,
		idle: make(chan *C.EVP_PKEY_CTX, runtime.GOMAXPROCS(0)),
	}
	runtime.AddCleanup(s, release, held{key, s.idle})
	if err := s.prove(private, alg); err != nil {
		return nil, fmt.Errorf("openssl self-test: %w", err)
	}
	return s, nil
}

// held is what a signer holds of C's memory.
type held struct {
	key  *C.EVP_PKEY
	idle chan *C.EVP_PKEY_CTX
}

func release(h held) {
	for len(h.idle) > 0 {
		C.EVP_PKEY_CTX_free(<-h.idle)
	}
	C.EVP_PKEY_free(h.key)
}

// prove signs and lets crypto/rsa judge; PKCS #1 v1.5 has one right answer.
func (s *opensslSigner) prove(private *rsa.PrivateKey, name string) error {
	alg, _ := algorithmOf(name)
	input := []byte("gatekeeper openssl self-test")
	got, err := alg.sign(s, input)
	if err != nil {
		return err
	}
	if !alg.verify(s.public, input, got) {
		return errors.New("crypto/rsa does not accept the signature")
	}
	if alg.kind != rsaPKCS {
		return nil
	}
	want, err := alg.sign(private, input)
	if err != nil {
		return err
	}
	if string(got) != string(want) {
		return errors.New("crypto/rsa signs differently")
	}
	return nil
}

// Public returns the *rsa.PublicKey.
func (s *opensslSigner) Public() crypto.PublicKey { return s.public }

// Sign signs a SHA-256 digest with the padding the key was opened for.
func (s *opensslSigner) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	_, pss := opts.(*rsa.PSSOptions)
	if opts.HashFunc() != crypto.SHA256 || len(digest) != sha256.Size || pss != (s.padding == C.RSA_PKCS1_PSS_PADDING) {
		return nil, errors.New("openssl: the key was opened for another algorithm")
	}
	var ctx *C.EVP_PKEY_CTX
	select {
	case ctx = <-s.idle:
	default:
		if ctx = C.gk_ctx(s.key, s.padding); ctx == nil {
			return nil, errors.New("openssl: no signing context")
		}
	}
	sig := make([]byte, s.public.Size())
	n := C.size_t(len(sig))
	ok := C.EVP_PKEY_sign(ctx, (*C.uchar)(unsafe.Pointer(unsafe.SliceData(sig))), &n,
		(*C.uchar)(unsafe.Pointer(unsafe.SliceData(digest))), C.size_t(len(digest)))
	if ok <= 0 || int(n) != len(sig) {
		C.EVP_PKEY_CTX_free(ctx)
		return nil, errors.New("openssl: the key did not sign")
	}
	select {
	case s.idle <- ctx:
	default:
		C.EVP_PKEY_CTX_free(ctx)
	}
	runtime.KeepAlive(s)
	return sig, nil
}
