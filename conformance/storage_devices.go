package conformance

import (
	"context"
	"fmt"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

func deviceContracts() []contract {
	return []contract{
		{"a device request comes back as stored", deviceComesBack},
		{"a code is given once", deviceCodesOnce},
		{"a poll before its time is hurried and slows the next", deviceHurries},
		{"an answer is found by polling", deviceAnswered},
		{"of racing answers one counts", deviceAnswerRace},
		{"of racing polls of an approved device one redeems", deviceRedeemRace},
		{"what has expired is told apart from what is unknown", deviceExpires},
	}
}

var often = oauth2.DeviceTimes{TTL: 10 * time.Minute}

// device is a request of shop, not yet stored.
func (b *bench) device(id string) oauth2.DeviceRequest {
	return oauth2.DeviceRequest{
		Grant:    oauth2.Grant{ID: id, ClientID: "shop", Scopes: []string{"openid", "offline_access"}, Audience: []string{"https://api.example.com"}, Offline: true},
		CodeHash: []byte("code " + id), UserHash: []byte("user " + id), Status: oauth2.DevicePending, Address: "203.0.113.7", UserAgent: "tv",
	}
}

// ask stores d.
func (b *bench) ask(d oauth2.DeviceRequest, t oauth2.DeviceTimes) {
	b.Helper()
	kept, err := b.PutDevice(b.Context(), d, t, sampleEvent(audit.DeviceRequested, d.Grant.ID))
	b.must(err)
	if !kept {
		b.Fatalf("a code of device %s was taken", d.Grant.ID)
	}
}

// approved is d with a person's yes.
func approved(d oauth2.DeviceRequest) oauth2.DeviceRequest {
	d.Status = oauth2.DeviceApproved
	g := &d.Grant
	g.Subject, g.Session, g.AuthTime, g.AMR, g.ACR = "alice", "s1", time.Unix(1_700_000_000, 0).UTC(), []string{"pwd"}, "1"
	return d
}

func (b *bench) answer(d oauth2.DeviceRequest) bool {
	b.Helper()
	done, err := b.AnswerDevice(b.Context(), d, sampleEvent(audit.DeviceApproved, d.Grant.ID))
	b.must(err)
	return done
}

func (b *bench) poll(d oauth2.DeviceRequest) oauth2.DevicePoll {
	b.Helper()
	p, err := b.PollDevice(b.Context(), d.Grant.ClientID, d.CodeHash)
	b.must(err)
	return p
}

func deviceComesBack(b *bench) {
	ctx := b.Context()
	d := b.device("d1")
	b.ask(d, often)
	for what, read := range map[string]func() (oauth2.DeviceRequest, error){
		"by its id":        func() (oauth2.DeviceRequest, error) { return b.Device(ctx, "d1") },
		"by its user code": func() (oauth2.DeviceRequest, error) { return b.DeviceByUserCode(ctx, d.UserHash) },
		"by polling":       func() (oauth2.DeviceRequest, error) { return b.poll(d).DeviceRequest, nil },
	} {
		got, err := read()
		b.must(err)
		if ends := got.CreatedAt.Add(often.TTL); got.CreatedAt.IsZero() || !got.ExpiresAt.Equal(ends) {
			b.Errorf("%s: from %v to %v, want ten minutes of the database's clock", what, got.CreatedAt, got.ExpiresAt)
		}
		got.CreatedAt, got.ExpiresAt = time.Time{}, time.Time{}
		if diff := cmp.Diff(d, got); diff != "" {
			b.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	_, err := b.Device(ctx, "nothing")
	b.kind(err, fault.NotFound)
	_, err = b.DeviceByUserCode(ctx, []byte("nothing"))
	b.kind(err, fault.NotFound)
	_, err = b.PollDevice(ctx, "shop", []byte("nothing"))
	b.kind(err, fault.NotFound)
	_, err = b.PollDevice(ctx, "another", d.CodeHash)
	b.kind(err, fault.NotFound)
	same(b, "events", b.kinds()[audit.DeviceRequested], 1)
}

func deviceCodesOnce(b *bench) {
	first := b.device("d1")
	b.ask(first, often)
	for name, change := range map[string]func(d *oauth2.DeviceRequest){
		"device code": func(d *oauth2.DeviceRequest) { d.CodeHash = first.CodeHash },
		"user code":   func(d *oauth2.DeviceRequest) { d.UserHash = first.UserHash },
	} {
		d := b.device("d2")
		change(&d)
		kept, err := b.PutDevice(b.Context(), d, often, sampleEvent(audit.DeviceRequested, "d2"))
		b.must(err)
		same(b, "kept with a "+name+" that is taken", kept, false)
	}
	same(b, "events", b.kinds()[audit.DeviceRequested], 1)
}

func deviceHurries(b *bench) {
	d := b.device("d1")
	b.ask(d, oauth2.DeviceTimes{TTL: time.Hour, Interval: time.Millisecond})
	same(b, "the first poll is hurried", b.poll(d).Hurried, false)
	for begun := b.now(); b.now().Sub(begun) < 2*time.Millisecond; { // the clock of the database has passed the interval
	}
	p := b.poll(d)
	same(b, "one after the interval is hurried", p.Hurried, false)
	same(b, "its interval", p.Interval, time.Millisecond)
	slow := b.device("d2")
	b.ask(slow, oauth2.DeviceTimes{TTL: time.Hour, Interval: time.Hour})
	same(b, "the first poll of another is hurried", b.poll(slow).Hurried, false)
	for n := range 3 {
		p := b.poll(slow)
		same(b, "one before the interval is hurried", p.Hurried, true)
		same(b, "its interval", p.Interval, time.Hour+time.Duration(n+1)*5*time.Second)
	}
}

func deviceAnswered(b *bench) {
	d, no := b.device("d1"), b.device("d2")
	b.ask(d, often)
	b.ask(no, often)
	same(b, "answered yes", b.answer(approved(d)), true)
	no.Status = oauth2.DeviceDenied
	same(b, "answered no", b.answer(no), true)
	got := b.poll(d)
	same(b, "status", got.Status, oauth2.DeviceApproved)
	if diff := cmp.Diff(approved(d).Grant, got.Grant); diff != "" {
		b.Errorf("grant (-want +got):\n%s", diff)
	}
	same(b, "status of the other", b.poll(no).Status, oauth2.DeviceDenied)
	_, err := b.DeviceByUserCode(b.Context(), d.UserHash)
	b.kind(err, fault.NotFound) // it waits no longer
	same(b, "answered again", b.answer(no), false)
}

func deviceAnswerRace(b *bench) {
	d := b.device("d1")
	b.ask(d, often)
	oneWinner(b, func(ctx context.Context) (bool, error) {
		return b.AnswerDevice(ctx, approved(d), sampleEvent(audit.DeviceApproved, "d1"))
	})
	same(b, "events", b.kinds()[audit.DeviceApproved], 1)
}

// deviceRedeemRace: the request has the id of its grant, whose insert decides.
func deviceRedeemRace(b *bench) {
	d := b.device("d1")
	b.ask(d, often)
	b.answer(approved(d))
	oneWinner(b, func(ctx context.Context) (bool, error) {
		p, err := b.PollDevice(ctx, "shop", d.CodeHash)
		if err != nil {
			return false, err
		}
		if p.Status != oauth2.DeviceApproved || p.Expired {
			return false, fmt.Errorf("polled %+v", p)
		}
		g := p.Grant
		g.SecretHash, g.ExpiresAt = []byte{1}, p.ExpiresAt
		return b.RedeemGrant(ctx, g, true, sampleEvent(audit.GrantIssued, g.ID))
	})
	same(b, "events", b.kinds()[audit.GrantIssued], 1)
}

func deviceExpires(b *bench) {
	ctx := b.Context()
	d := b.device("d1")
	b.ask(d, oauth2.DeviceTimes{TTL: -time.Second})
	same(b, "a poll says expired", b.poll(d).Expired, true)
	same(b, "answered too late", b.answer(approved(d)), false)
	_, err := b.Device(ctx, "d1")
	b.kind(err, fault.NotFound)
	_, err = b.DeviceByUserCode(ctx, d.UserHash)
	b.kind(err, fault.NotFound)
	long := b.device("d2")
	b.ask(long, oauth2.DeviceTimes{TTL: -2 * time.Hour})
	b.ask(b.device("d3"), often)
	_, err = b.Clean(ctx, 10)
	b.must(err)
	_, err = b.PollDevice(ctx, "shop", long.CodeHash)
	b.kind(err, fault.NotFound) // cleaned away
	same(b, "a little while ago", b.poll(d).Expired, true)
	same(b, "one that waits", b.poll(b.device("d3")).Expired, false)
}
