package audit

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
)

const (
	maxRefusalText  = 200 // bytes of each text a refusal carries; strangers choose them
	maxRefusalFacts = 12
)

// Refuse takes a refused request into a bounded queue that Run writes in
// batches: a refusal changes nothing, so it need not wait for the store, and a
// flood of them cannot fill the disk faster than the queue drains. It never
// blocks. The fault's cause stays in the log; its facts become the trace. One with
// a count is the total of a minute: it has the reference the others were shown.
func (t *Trail) Refuse(ctx context.Context, r web.Refusal) {
	e := Event{Kind: RequestRefused, Reference: r.Reference, ClientID: r.ClientID, Detail: map[string]string{"route": r.Route}}
	if f := r.Fault; f != nil {
		e.Detail["code"] = f.Code
		e.Detail["rule"] = f.Rule
		e.Detail["detail"] = f.Detail
		e.Trace = f.Facts
	}
	switch {
	case r.Count > 0:
		e.Actor, e.Trace = "system", nil
		e.Detail[DetailCount], e.Detail["network"] = strconv.Itoa(r.Count), r.Network
	case r.Repeats:
		e.Detail[DetailRepeats] = "counted"
	}
	select {
	case t.refused <- short(t.Fill(ctx, e)):
	default:
		t.drop(1)
	}
}

// The details of refusals that are counted together.
const (
	DetailCount   = "count"   // of a total: how many there were
	DetailRepeats = "repeats" // the next ones of that minute are in a total, under the same reference
)

// short returns a refusal with bounded text.
func short(e Event) Event {
	for _, s := range []*string{&e.ClientID, &e.UserAgent, &e.CorrelationID} {
		*s = clip(*s)
	}
	for k, v := range e.Detail {
		e.Detail[k] = clip(v)
	}
	if len(e.Trace) > maxRefusalFacts {
		e.Trace = e.Trace[:maxRefusalFacts]
	}
	for i, f := range e.Trace {
		e.Trace[i].Name, e.Trace[i].Value = clip(f.Name), clip(f.Value)
	}
	return e
}

// clip bounds s without cutting a character.
func clip(s string) string {
	if len(s) <= maxRefusalText {
		return s
	}
	return strings.ToValidUTF8(s[:maxRefusalText], "") + "…"
}

func (t *Trail) drop(n int) {
	t.dropped.Add(int64(n))
	t.cfg.Meter.RefusalsDropped(n)
}

// flush writes the next batch of refusals and returns how many. A store that does
// not answer gets the same batch again next time; a batch it refuses for another
// reason is dropped and counted, so that one bad event cannot stop the trail.
func (t *Trail) flush(ctx context.Context) (int, error) {
	if len(t.pending) == 0 {
		t.pending = t.take()
	}
	n := len(t.pending)
	if n == 0 {
		return 0, nil
	}
	err := t.cfg.Store.AppendEvents(ctx, t.pending...)
	if err != nil && (fault.Is(err, fault.Unavailable) || ctx.Err() != nil) {
		return 0, fmt.Errorf("write %d refusals: %w", n, err)
	}
	t.pending = nil
	if err != nil {
		t.drop(n)
		t.cfg.Log.LogAttrs(ctx, slog.LevelError, "refusals dropped", slog.Int("count", n), slog.Any("error", err))
	}
	return n, nil
}

// take returns up to a batch of waiting refusals without waiting for one.
func (t *Trail) take() []Event {
	var batch []Event
	for len(batch) < batchSize {
		select {
		case e := <-t.refused:
			batch = append(batch, e)
		default:
			return batch
		}
	}
	return batch
}

// confess records how many refusals had no room since it last did, in one event.
func (t *Trail) confess(ctx context.Context) {
	n := t.dropped.Swap(0)
	if n == 0 {
		return
	}
	err := t.Record(ctx, Event{Kind: RequestRefused, Actor: "system", Detail: map[string]string{"dropped": strconv.FormatInt(n, 10)}})
	if err != nil {
		t.dropped.Add(n)
		t.cfg.Log.LogAttrs(ctx, slog.LevelError, "dropped refusals not recorded", slog.Any("error", err))
	}
}
