package identity

import "context"

type contextKey struct{}

type present struct {
	s Session
	u User
}

// NewContext returns ctx carrying the signed-in session and its user.
func NewContext(ctx context.Context, s Session, u User) context.Context {
	return context.WithValue(ctx, contextKey{}, present{s, u})
}

// FromContext returns the signed-in session and its user, if any.
func FromContext(ctx context.Context) (Session, User, bool) {
	p, ok := ctx.Value(contextKey{}).(present)
	return p.s, p.u, ok
}
