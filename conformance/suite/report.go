package suite

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"time"
)

// An Outcome is what came of a module.
type Outcome string

// The outcomes, best first.
const (
	Passed  Outcome = "passed"
	Skipped Outcome = "skipped"
	Warned  Outcome = "warned"
	Failed  Outcome = "failed"
)

// Mark is an outcome as one character.
func (o Outcome) Mark() string {
	return map[Outcome]string{Passed: "✓", Skipped: "–", Warned: "!", Failed: "✗"}[o]
}

// A Reason is one thing that is wrong, or why nothing could be said, and where it
// is written how it should be.
type Reason struct {
	Text string `json:"text"`
	Spec string `json:"spec,omitempty"` // "" means that of the module
}

// Seconds is a duration as JSON and people read it.
type Seconds time.Duration

// MarshalText writes d as 1.25s.
func (d Seconds) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *Seconds) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("read a duration: %w", err)
	}
	*d = Seconds(v)
	return nil
}

// String is d to the hundredth of a second.
func (d Seconds) String() string { return time.Duration(d).Round(10 * time.Millisecond).String() }

// A Result is what came of one module of one variant of a profile.
type Result struct {
	Profile string `json:"profile"`
	Variant
	Module  string   `json:"module"` // "*": all of the profile's
	Summary string   `json:"summary"`
	Spec    string   `json:"spec,omitempty"`
	Outcome Outcome  `json:"outcome"`
	Reasons []Reason `json:"reasons,omitempty"`
	Took    Seconds  `json:"took"`
}

// Plan names the profile and its variant: "hybrid (code token)".
func (r *Result) Plan() string {
	if v := r.String(); v != "" {
		return r.Profile + " (" + v + ")"
	}
	return r.Profile
}

// Where is where the promise of a reason is made.
func (r *Result) Where(why Reason) string { return or(why.Spec, r.Spec) }

// A Report is what came of a run.
type Report struct {
	Issuer  string    `json:"issuer"`
	Began   time.Time `json:"began"`
	Took    Seconds   `json:"took"`
	Results []Result  `json:"results"`
}

// Count is how many results have an outcome.
func (r *Report) Count(o Outcome) int {
	n := 0
	for i := range r.Results {
		if r.Results[i].Outcome == o {
			n++
		}
	}
	return n
}

// A Section is the results of one variant of one profile.
type Section struct {
	Name    string
	Results []Result
}

// Sections are the results by profile and variant, in order, after those that
// somebody should look at.
func (r *Report) Sections() []Section {
	var all []Section
	var look Section
	for i := range r.Results {
		if res := r.Results[i]; res.Outcome == Failed || res.Outcome == Warned {
			res.Module = res.Plan() + " " + res.Module
			look.Results = append(look.Results, res)
		}
	}
	if len(look.Results) > 0 {
		look.Name = "To be looked at"
		all = append(all, look)
	}
	for i := range r.Results {
		res := r.Results[i]
		if n := len(all); n == 0 || all[n-1].Name != res.Plan() {
			all = append(all, Section{Name: res.Plan()})
		}
		last := &all[len(all)-1]
		last.Results = append(last.Results, res)
	}
	return all
}

//go:embed report.html
var page string

// HTML writes the report as one page that needs nothing else: no script, no font,
// no image, in the light or the dark of whoever reads it.
func (r *Report) HTML(w io.Writer) error {
	t, err := template.New("report").Parse(page)
	if err != nil {
		return fmt.Errorf("read the page of a report: %w", err)
	}
	if err := t.Execute(w, r); err != nil {
		return fmt.Errorf("write the page of a report: %w", err)
	}
	return nil
}
