package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

const (
	chainLabel = "gatekeeper audit v1"

	maxText   = 1024 // bytes of one field
	maxFacts  = 32
	maxDetail = 256 // a change of every field of an application
)

// Link returns the hash of e behind previous: the hex SHA-256 of three lines,
//
//	gatekeeper audit v1
//	PREVIOUS    (hex; empty before the first event)
//	EVENT       (e's JSON as it is exported, without position and hash)
//
// joined by line feeds. The JSON has no space, the fields in Event's order, the
// keys of detail sorted, the time in UTC with as many digits of a second as it
// needs, at most six, and no HTML escaping, so anyone can compute it.
func Link(previous string, e Event) string {
	sum := sha256.Sum256([]byte(chainLabel + "\n" + previous + "\n" + canonical(e)))
	return hex.EncodeToString(sum[:])
}

// canonical returns e's JSON for the chain. Every field is a string, a time, a map
// or a list of them, so encoding cannot fail.
func canonical(e Event) string {
	e.Position, e.Hash, e.Altered = 0, "", ""
	e.At = e.At.UTC().Truncate(time.Microsecond)
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		panic("audit: an event that has no JSON: " + err.Error()) // only a time beyond the year 9999
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Verify checks that events follow each other without gap, and the event whose
// hash is previous ("" for the start of the trail), and that none was changed. It
// returns the hash of the last one, to verify the next page with. The error is a
// Conflict that names the first event which does not fit. The chain shows that
// nothing before an event you trust was changed; it cannot show that events were
// cut off after it, so keep the last hash somewhere else.
func Verify(previous string, events ...Event) (last string, err error) {
	for i, e := range events {
		switch {
		case i > 0 && e.Position != events[i-1].Position+1, previous == "" && e.Position != 1:
			return previous, broken(e, "chain_without_gap", "An event before it is missing")
		case e.Altered != "":
			return previous, broken(e, "chain_row", "What is kept beside it was changed: "+e.Altered)
		case Link(previous, e) != e.Hash:
			return previous, broken(e, "chain_hash", "It, or the event before it, was changed")
		}
		previous = e.Hash
	}
	return previous, nil
}

func broken(e Event, rule, why string) error {
	return &fault.Error{
		Kind: fault.Conflict, Code: "audit_chain_broken", Rule: rule,
		Detail: fmt.Sprintf("The audit trail does not fit at position %d. %s.", e.Position, why),
	}
}

// clean returns e with text that every store takes and gives back unchanged.
func clean(e Event) Event {
	for _, s := range []*string{
		&e.Actor, &e.Subject, &e.ClientID, &e.Session, &e.Grant,
		&e.CorrelationID, &e.Address, &e.UserAgent, &e.Reference,
	} {
		*s = cleanText(*s)
	}
	if len(e.Detail) > 0 {
		detail := make(map[string]string, len(e.Detail))
		for _, k := range slices.Sorted(maps.Keys(e.Detail)) {
			if v := e.Detail[k]; v != "" && len(detail) < maxDetail {
				detail[cleanText(k)] = cleanText(v)
			}
		}
		e.Detail = detail
	}
	if len(e.Trace) > 0 {
		trace := make([]fault.Fact, 0, min(len(e.Trace), maxFacts))
		for _, f := range e.Trace[:cap(trace)] {
			trace = append(trace, fault.Fact{Name: cleanText(f.Name), Value: cleanText(f.Value)})
		}
		e.Trace = trace
	}
	return e
}

// cleanText bounds s and takes out what a text column or a terminal stumbles over:
// control characters (NUL is refused by Postgres), marks that turn the direction of
// text around, and broken UTF-8.
func cleanText(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}
