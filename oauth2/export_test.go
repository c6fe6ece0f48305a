package oauth2

// What the tests of this package's parsers see of them.
var (
	RedirectAllowed = redirectAllowed
	HalfHash        = halfHash
	Leeway          = leeway
	SessionState    = sessionState
)

// Rules names the checks of both tables.
func Rules() (names []string) {
	for _, table := range [][]check{identified, certain, unfolded, sound} {
		for _, c := range table {
			names = append(names, c.rule)
		}
	}
	return names
}

// ParseScope reads a scope parameter.
func ParseScope(s string) ([]string, error) {
	got, f := parseScope(s)
	if f != nil {
		return nil, f
	}
	return got, nil
}

// BasicCredential reads an Authorization header.
func BasicCredential(header string) (id, secret string, err error) {
	c, err := basicCredential([]string{header})
	if err != nil {
		return "", "", err
	}
	return c.id, c.secret, nil
}

// ReadRefresh reads a refresh token and writes it again.
func (p *Provider) ReadRefresh(token string) (again string, generation uint32, ok bool) {
	t, ok := p.readRefresh(token)
	return p.writeRefresh(t), t.generation, ok
}

// WriteRefresh writes a refresh token.
func (p *Provider) WriteRefresh(grant [16]byte, generation uint32, secret [16]byte) string {
	return p.writeRefresh(refreshToken{grant, generation, secret})
}

// ReadCode reads what a code carries.
func (p *Provider) ReadCode(code string) (grant, subject string, err error) {
	c, err := p.openCode(code)
	return c.Grant, c.Subject, err
}

// AssertionIssuer peeks into a client assertion.
func AssertionIssuer(token string) string {
	_, id := peekAssertion(token)
	return id
}

// AddressFits is what registration says of a redirect URI.
func AddressFits(t ClientType, uri string) string { return addressFits(&Client{Type: t}, uri) }

// NewUserCode makes a user code.
func NewUserCode() string { return newUserCode() }

// NewDeviceCode makes a device code that nobody is given.
func (p *Provider) NewDeviceCode() string { return p.newDeviceCode() }
