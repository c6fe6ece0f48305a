package oauth2_test

import "testing"

func TestAuthorizeRedeemRefresh(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		a := f.app("shop")
		tk := a.login()
		if !f.alive(tk.Access) || !f.alive(tk.Refresh) || tk.ID == "" {
			t.Fatalf("tokens %+v", tk)
		}
		again := tokensOf(a.refresh(tk.Refresh).ok())
		if again.Refresh == tk.Refresh || !f.alive(again.Access) || again.ID == "" {
			t.Errorf("refreshed %+v", again)
		}
	})
}
