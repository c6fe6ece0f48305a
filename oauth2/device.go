package oauth2

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/ratelimit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
)

// The device authorization grant (RFC 8628): a device without a browser shows a
// code, a person types it elsewhere, and the device asks until there is an answer.
//
//	POST /oauth2/device_authorization ─▶ pending ─┬─ yes ─▶ approved ─ POST /oauth2/token ─▶ grant
//	                                              ├─ no ──▶ denied
//	                                              └─ ten minutes ─▶ expired
//
// The request has the id of the grant it becomes: redeeming inserts that grant, and
// the insert is what makes a device code single-use, as it does for a code.

// A DeviceStatus is where a device's request stands.
type DeviceStatus string

// A request is pending until a person has answered it.
const (
	DevicePending  DeviceStatus = "pending"
	DeviceApproved DeviceStatus = "approved"
	DeviceDenied   DeviceStatus = "denied"
)

// A DeviceRequest is a device that waits for a person's answer. Times are the
// database's.
type DeviceRequest struct {
	Grant     Grant  // what the device gets: whose it is and how they signed in, once approved
	CodeHash  []byte // SHA-256 of the device code
	UserHash  []byte // keyed hash of the user code
	Status    DeviceStatus
	Address   string // where the device asked from
	UserAgent string
	CreatedAt time.Time
	ExpiresAt time.Time
}

// A DevicePoll is what one poll found. Hurried means that it came before the
// interval was over, and that Interval is five seconds longer than that one was.
type DevicePoll struct {
	DeviceRequest
	Interval         time.Duration
	Hurried, Expired bool
}

// A DeviceStore keeps what devices asked for until it expires. Errors and
// transactions are as in Store; time is the database's.
type DeviceStore interface {
	// PutDevice inserts a pending request that lives for ttl and may be polled
	// every interval, and records e, in one statement. It reports false, having
	// written nothing, if one of its codes is taken.
	PutDevice(ctx context.Context, d DeviceRequest, t DeviceTimes, e audit.Event) (bool, error)
	// Device returns a request that has not expired, by its id.
	Device(ctx context.Context, id string) (DeviceRequest, error)
	// DeviceByUserCode returns a pending request that has not expired.
	DeviceByUserCode(ctx context.Context, userHash []byte) (DeviceRequest, error)
	// AnswerDevice gives a pending request that has not expired the status and the
	// person of d, and records e, in one statement. Of racing callers exactly one
	// gets true.
	AnswerDevice(ctx context.Context, d DeviceRequest, e audit.Event) (bool, error)
	// PollDevice notes that clientID polls, and returns what there is to say.
	PollDevice(ctx context.Context, clientID string, codeHash []byte) (DevicePoll, error)
}

// DeviceTimes are how long a request lives and how often it may be polled.
type DeviceTimes struct{ TTL, Interval time.Duration }

const (
	devicePrefix   = "gk_dc_"
	devicePath     = "/device"
	deviceTTL      = 10 * time.Minute
	deviceInterval = 5 * time.Second // RFC 8628 section 3.5 makes it the default
)

// deviceSound is what a device may ask for, by the rules of every authorization
// request as far as they apply: it has no redirect URI, no response type and no
// browser (RFC 8628 section 3.1). web.Form has refused what came twice.
var deviceSound = []check{
	{"parameter_sizes", sizes},
	{"client_may_use_grant", deviceRegistered},
	{"scope_grammar", scopes},
	{"resource_allowed", resources},
}

func deviceRegistered(_ context.Context, d *draft) *fault.Error {
	if d.client.May(GrantDevice) {
		return nil
	}
	return invalid("unauthorized_client", "The client is not registered for this grant.").
		With("received", GrantDevice).With("registered", strings.Join(d.client.Grants, " "))
}

// A deviceAnswer is the response of RFC 8628 section 3.2.
type deviceAnswer struct {
	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
	URI        string `json:"verification_uri"`
	Complete   string `json:"verification_uri_complete"`
	ExpiresIn  int64  `json:"expires_in"`
	Interval   int64  `json:"interval"`
}

// device serves POST /oauth2/device_authorization.
func (h *Handler) device(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(w, r, web.MaxForm, "resource")
	if err != nil {
		return err
	}
	c, err := h.Provider.AuthenticateClient(r, form)
	if err != nil {
		return err
	}
	out, err := h.Provider.requestDevice(r.Context(), &c, form)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, out)
}

// requestDevice checks what c asks for and keeps it until a person answers.
func (p *Provider) requestDevice(ctx context.Context, c *Client, form url.Values) (deviceAnswer, error) {
	d := &draft{p: p, params: requestParameters(c, form), client: *c, req: AuthorizeRequest{ClientID: c.ID}}
	if f := d.walk(ctx, deviceSound); f != nil {
		return deviceAnswer{}, f
	}
	if err := p.limited(ctx, "slow_down", web.InfoFrom(ctx).Bucket(), p.cfg.Rules.DeviceRequests); err != nil {
		return deviceAnswer{}, err
	}
	address, agent := audit.Origin(ctx)
	req := DeviceRequest{
		Grant: Grant{
			ID: uuid.NewString(), ClientID: c.ID, Scopes: d.req.Scopes, Audience: d.req.Audience, Narrowed: d.req.Narrowed, Registration: c.Registration,
		},
		Status: DevicePending, UserAgent: agent,
	}
	req.Grant.Offline = req.Grant.has("offline_access")
	if address.IsValid() {
		req.Address = address.Unmap().String()
	}
	for range deviceTries {
		deviceCode, userCode := p.newDeviceCode(), newUserCode()
		req.CodeHash, req.UserHash = hashDeviceCode(deviceCode), p.hashUserCode(userCode)
		kept, err := p.cfg.Store.PutDevice(ctx, req, DeviceTimes{deviceTTL, deviceInterval}, p.event(ctx, audit.DeviceRequested, req.Grant))
		if err != nil {
			return deviceAnswer{}, err
		}
		if !kept {
			continue
		}
		p.cfg.Meter.TokenIssued(GrantDevice, "device_code")
		page, shown := p.cfg.Issuer+devicePath, FormatUserCode(userCode)
		return deviceAnswer{
			DeviceCode: deviceCode, UserCode: shown, URI: page, Complete: page + "?user_code=" + shown,
			ExpiresIn: int64(deviceTTL / time.Second), Interval: int64(deviceInterval / time.Second),
		}, nil
	}
	return deviceAnswer{}, errNoUserCode
}

// deviceTries is how often a user code that is taken is replaced by another.
const deviceTries = 5

var errNoUserCode = errors.New("oauth2: no user code was free")

// A device code is 256 random bits, and a MAC that keeps garbage away from the
// store, which every poll writes to.
const deviceBody, deviceMAC = 32, 16

func (p *Provider) newDeviceCode() string {
	b := make([]byte, deviceBody, deviceBody+deviceMAC)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	b = append(b, p.cfg.Vault.MAC("device", b)[:deviceMAC]...)
	return devicePrefix + base64.RawURLEncoding.EncodeToString(b)
}

// madeDeviceCode reports whether code was made by this server.
func (p *Provider) madeDeviceCode(code string) bool {
	body, ok := strings.CutPrefix(code, devicePrefix)
	if !ok || len(body) != base64.RawURLEncoding.EncodedLen(deviceBody+deviceMAC) {
		return false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(body)
	return err == nil && p.cfg.Vault.CheckMAC("device", raw[deviceBody:], raw[:deviceBody])
}

func hashDeviceCode(code string) []byte {
	sum := sha256.Sum256([]byte(code))
	return sum[:]
}

// limited counts one attempt of bucket under rule: fault.TooMany, with this code, if
// it is one too many.
func (p *Provider) limited(ctx context.Context, code, bucket string, rule ratelimit.Rule) error {
	wait, err := p.cfg.Limits.Advance(ctx, bucket, rule)
	if err != nil {
		return fault.Down("limiter", err)
	}
	if wait <= 0 {
		return nil
	}
	p.cfg.Meter.RateLimited(rule.Name)
	return &fault.Error{
		Kind: fault.TooMany, Code: code, Detail: "There were too many attempts; wait a moment.",
		Rule: strings.ReplaceAll(rule.Name, ".", "_"), RetryAfter: wait,
	}
}
