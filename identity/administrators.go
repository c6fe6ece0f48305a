package identity

import (
	"context"
	"slices"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// keepAdministrator runs change in a transaction in which nobody else can take
// administrators away, and hands it lose, to be asked before u stops being one: it
// refuses where no other would be left who may sign in. Whoever lost the last one
// could only be helped on the database, and the first-administrator link would open
// again. Fault: Conflict ("last_administrator").
func (s *Service) keepAdministrator(ctx context.Context, change func(ctx context.Context, lose func(u User) error) error) error {
	return s.Store.InTx(ctx, func(ctx context.Context) error {
		active, err := s.Store.ActiveWithRole(ctx, RoleAdmin) // before any one of them is held
		if err != nil {
			return err
		}
		return change(ctx, func(u User) error {
			if !slices.Contains(u.Roles, RoleAdmin) || slices.ContainsFunc(active, func(id string) bool { return id != u.ID }) {
				return nil
			}
			return &fault.Error{
				Kind: fault.Conflict, Code: "last_administrator", Rule: "administrator_left",
				Detail: "This is the last administrator who can sign in; make another one first.",
				Facts:  []fault.Fact{{Name: "user", Value: u.ID}},
			}
		})
	})
}

// HoldAdministrators keeps everybody who is an administrator one until the
// transaction of ctx ends. Whoever changes people in a transaction of their own
// begins it with this, so that two of them wait for each other and never for good.
func (s *Service) HoldAdministrators(ctx context.Context) error {
	_, err := s.Store.ActiveWithRole(ctx, RoleAdmin)
	return err
}
