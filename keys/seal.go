package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
)

const (
	nonceLen   = 24
	derivedLen = 12 // bytes of the nonce that go into the derived key
	tagLen     = 16
)

// A sealer encrypts with XAES-256-GCM (c2sp.org/XAES-256-GCM): a random 192-bit
// nonce, half of which derives an AES-256-GCM key for this one message (NIST SP
// 800-108r1 CMAC mode). Plain AES-GCM allows 2^32 messages with random nonces
// under one key (SP 800-38D section 8.3), which a busy server's authorization
// codes reach in weeks; this one allows 2^80.
type sealer struct {
	block cipher.Block
	k1    [aes.BlockSize]byte
}

func newSealer(key [subkeyLen]byte) *sealer {
	s := &sealer{block: newBlock(key[:])}
	s.block.Encrypt(s.k1[:], s.k1[:])
	var msb byte
	for i := len(s.k1) - 1; i >= 0; i-- {
		msb, s.k1[i] = s.k1[i]>>7, s.k1[i]<<1|msb
	}
	s.k1[len(s.k1)-1] ^= msb * 0b10000111
	return s
}

// aead returns the cipher for the one message under nonce; its own nonce is the
// second half, nonce[derivedLen:].
func (s *sealer) aead(nonce []byte) cipher.AEAD {
	var key [2 * aes.BlockSize]byte
	for i := range 2 {
		half := key[i*aes.BlockSize : (i+1)*aes.BlockSize]
		copy(half, []byte{0, byte(i + 1), 'X', 0})
		copy(half[4:], nonce[:derivedLen])
		for j := range half {
			half[j] ^= s.k1[j]
		}
		s.block.Encrypt(half, half)
	}
	gcm, err := cipher.NewGCM(newBlock(key[:]))
	if err != nil {
		panic(fmt.Sprintf("keys: gcm: %v", err)) // AES has the block size GCM needs
	}
	return gcm
}

func newBlock(key []byte) cipher.Block {
	b, err := aes.NewCipher(key)
	if err != nil {
		panic(fmt.Sprintf("keys: aes: %v", err)) // 32 bytes are a key
	}
	return b
}
