package identity

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
)

const (
	maxKnown    = 5  // people one browser remembers, the latest first
	deviceNonce = 16 // bytes; the MAC beside it has as many
)

type deviceKey struct{}

// WithDevice returns ctx carrying what a browser says of the people who signed in
// with it: a value that Device gave it.
func WithDevice(ctx context.Context, said string) context.Context {
	return context.WithValue(ctx, deviceKey{}, said)
}

// Device returns what a browser is to keep after email has signed in with it, beside
// what ctx says it keeps already. It names nobody, and opens nothing: with it the
// misses of that browser are counted apart from those of strangers, so that nobody
// elsewhere can lock a person out of the browser they use.
func (s *Service) Device(ctx context.Context, email string) string {
	account := s.mac("account", email)
	var nonce [deviceNonce]byte
	_, _ = rand.Read(nonce[:]) // never fails
	keep := []string{base64.RawURLEncoding.EncodeToString(append(nonce[:], s.deviceMAC(account, nonce[:])...))}
	for _, e := range devicesOf(ctx) {
		switch {
		case len(keep) == maxKnown:
		case s.vouches(e, account): // the same browser stays the same
			keep[0] = e
		default:
			keep = append(keep, e)
		}
	}
	return strings.Join(keep, ".")
}

// known returns the name of the browser's counter for the account, "" if nobody has
// signed in to it there.
func (s *Service) known(ctx context.Context, account string) string {
	all := devicesOf(ctx)
	if i := slices.IndexFunc(all, func(e string) bool { return s.vouches(e, account) }); i >= 0 {
		return s.mac("device", all[i])
	}
	return ""
}

func devicesOf(ctx context.Context) []string {
	said, _ := ctx.Value(deviceKey{}).(string)
	if said == "" || len(said) > 1024 {
		return nil
	}
	all := strings.Split(said, ".")
	return all[:min(len(all), maxKnown)]
}

// vouches reports whether e was given for the account.
func (s *Service) vouches(e, account string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(e)
	return err == nil && len(b) == 2*deviceNonce && hmac.Equal(b[deviceNonce:], s.deviceMAC(account, b[:deviceNonce]))
}

func (s *Service) deviceMAC(account string, nonce []byte) []byte {
	m := hmac.New(sha256.New, s.Key[:])
	m.Write([]byte("known device\x00" + account + hex.EncodeToString(nonce)))
	return m.Sum(nil)[:deviceNonce]
}
