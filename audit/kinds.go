package audit

// Kinds returns every kind there is, for whoever asks for one by name.
func Kinds() []Kind {
	return []Kind{
		LoginSucceeded, LoginFailed, LogoutRequested, LogoutDelivered, LogoutAbandoned,
		SessionStarted, SessionEnded, UserCreated, UserUpdated, UserDeleted,
		UserLocked, UserUnlocked, PasswordChanged, ClientCreated, ClientUpdated,
		ClientDeleted, ClientRegistered, SecretRotated, ConsentGranted, ConsentDenied,
		ConsentRevoked, GrantIssued, GrantRefreshed, GrantRevoked, TokenRevoked,
		CodeReplayed, RefreshReplayed, DeviceRequested, DeviceApproved, DeviceDenied,
		TokenExchanged, KeyCreated, KeyRevoked, InitialCreated, InitialRevoked,
		SetupLinkCreated, SetupCompleted, RequestRefused,
	}
}
