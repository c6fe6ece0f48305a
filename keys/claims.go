package keys

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"
)

// Claims reads the claims of a JWT into the struct that into points to: members by
// their exact names, each once. encoding/json alone would take Sub, SUB and even
// ſub for sub, and of two the last (RFC 8725 section 2.4). Claims that the struct
// has no field for are left alone.
func Claims(payload []byte, into any) error {
	members, err := Members(payload)
	if err != nil {
		return err
	}
	return fill(members, reflect.ValueOf(into).Elem())
}

func fill(members map[string]json.RawMessage, v reflect.Value) error {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Anonymous && field.Type.Kind() == reflect.Struct {
			if err := fill(members, v.Field(i)); err != nil {
				return err
			}
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		raw, came := members[name]
		if !came || name == "" || bytes.Equal(raw, []byte("null")) {
			continue
		}
		if err := json.Unmarshal(raw, v.Field(i).Addr().Interface()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// A NumericDate is a time in a JWT: seconds since the epoch, whole or with a
// fraction, which is cut off (RFC 7519 section 2). Zero is one that did not come.
type NumericDate int64

var errDate = errors.New("not a NumericDate")

// UnmarshalJSON reads a number; nothing before the epoch, and nothing that no clock
// will see.
func (d *NumericDate) UnmarshalJSON(b []byte) error {
	var n json.Number
	if len(b) == 0 || b[0] == '"' || json.Unmarshal(b, &n) != nil {
		return errDate
	}
	f, err := n.Float64()
	if err != nil || math.IsNaN(f) || f < 0 || f > 1<<40 {
		return errDate
	}
	*d = NumericDate(f)
	return nil
}

// Time is the moment.
func (d NumericDate) Time() time.Time { return time.Unix(int64(d), 0) }

// How far the clocks of those who make assertions and requests may be from ours.
// Applications whose clock runs ahead are served up to half a minute (FAPI 2.0
// Security Profile section 5.3.2.1: accept ten seconds, refuse more than sixty).
const (
	ClockAhead  = 30 * time.Second // iat and nbf may be so far ahead
	ClockBehind = 10 * time.Second // exp may be so long past
)
