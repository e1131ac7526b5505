package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Line is one line of a decision as people read it.
type Line struct{ Head, Text string }

// Say says in words what a matter is about, from its bytes alone. The text may
// hold anything: whoever shows it takes care of control characters.
func (m Matter) Say() []Line {
	say := m.content()
	out := []Line{{"decision", say.title}, {"about", m.Subject}}
	out = append(out, say.lines...)
	if m.Version > 0 {
		out = append(out, Line{"version", fmt.Sprint(m.Version)})
	}
	return append(out, Line{"tenant", m.Tenant}, Line{"proposed", moment(m.IssuedAt)}, Line{"sign before", moment(m.ExpiresAt)}, Line{"id", m.ID})
}

type said struct {
	title string
	lines []Line
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func (m Matter) content() said {
	speak := map[string]func(json.RawMessage) (said, error){
		"agent-policy": sayPolicy, "waiver": sayWaiver, "access-approval": sayApproval, "key-change": sayKeyChange,
	}
	if f := speak[m.Kind]; f != nil {
		if s, err := f(m.Content); err == nil {
			return s
		}
	}
	// What is not understood is shown as it is.
	return said{m.Kind, []Line{{"content", string(m.Content)}}}
}

func sayPolicy(raw json.RawMessage) (said, error) {
	var c struct {
		Service  string          `json:"service"`
		Document json.RawMessage `json:"document"`
		Until    *time.Time      `json:"until"`
	}
	if err := exactly(raw, &c); err != nil {
		return said{}, err
	}
	until := "another replaces it"
	if c.Until != nil {
		until = moment(*c.Until)
	}
	return said{"agents obey this policy of the service " + c.Service, []Line{{"policy", string(c.Document)}, {"until", until}}}, nil
}

func sayWaiver(raw json.RawMessage) (said, error) {
	var c struct {
		Duty      string    `json:"duty"`
		Scope     string    `json:"scope"`
		SubjectID string    `json:"subject_id"`
		Reason    string    `json:"reason"`
		Effective time.Time `json:"effective"`
		Expires   time.Time `json:"expires"`
	}
	if err := exactly(raw, &c); err != nil {
		return said{}, err
	}
	return said{"the risk is accepted that " + c.Duty + " is not met", []Line{
		{"for", c.Scope + "/" + c.SubjectID}, {"because", c.Reason}, {"from", moment(c.Effective)}, {"until", moment(c.Expires)},
	}}, nil
}

func sayApproval(raw json.RawMessage) (said, error) {
	var c struct {
		Grant      string `json:"grant"`
		Holder     string `json:"holder"`
		HolderName string `json:"holder_name"`
		Ticket     string `json:"ticket"`
		Purpose    string `json:"purpose"`
		Scope      []struct {
			Do     string `json:"do"`
			Target string `json:"target"`
		} `json:"scope"`
		From       *time.Time `json:"from"`
		Seconds    int64      `json:"seconds"`
		BreakGlass bool       `json:"break_glass"`
	}
	if err := exactly(raw, &c); err != nil {
		return said{}, err
	}
	who := c.Holder
	if c.HolderName != "" {
		who = c.HolderName + " (" + c.Holder + ")"
	}
	var scope []string
	for _, a := range c.Scope {
		scope = append(scope, a.Do+" on "+a.Target)
	}
	from := "the moment of the signature"
	if c.From != nil {
		from = moment(*c.From)
	}
	title := "the provider's " + who + " may access the environment"
	if c.BreakGlass {
		title = "the provider's " + who + " was right to access the environment in an emergency"
	}
	return said{title, []Line{
		{"may", strings.Join(scope, ", ")}, {"ticket", c.Ticket}, {"purpose", c.Purpose}, {"from", from},
		{"for", (time.Duration(c.Seconds) * time.Second).String()}, {"grant", c.Grant},
	}}, nil
}

func sayKeyChange(raw json.RawMessage) (said, error) {
	var c struct {
		Previous string          `json:"previous"`
		KeySet   json.RawMessage `json:"key_set"`
	}
	if err := exactly(raw, &c); err != nil {
		return said{}, err
	}
	s, err := ReadKeySet(c.KeySet)
	if err != nil {
		return said{}, err
	}
	out := said{"from now on these keys count, and no others", nil}
	for _, k := range s.Keys {
		out.lines = append(out.lines, Line{"key", k.Say()})
	}
	for _, k := range s.Recovery {
		out.lines = append(out.lines, Line{"recovery key", k.Say()})
	}
	recovery := "none: lost keys cannot be replaced"
	if s.Threshold > 0 {
		recovery = fmt.Sprintf("%d of %d recovery keys together", s.Threshold, len(s.Recovery))
	}
	out.lines = append(out.lines, Line{"recovery", recovery})
	for kind, n := range s.Required {
		out.lines = append(out.lines, Line{"signatures", fmt.Sprintf("%d people for each %s", n, kind)})
	}
	out.lines = append(out.lines, Line{"replaces", c.Previous}, Line{"digest", s.Digest})
	return out, nil
}

// Say says in a line which key it is.
func (k Key) Say() string {
	text := k.ID
	if k.Name != "" {
		text += " " + k.Name
	}
	text += ", " + k.Algorithm
	if k.Holder != "" {
		text += ", held by " + k.Holder
	}
	if len(k.Kinds) > 0 {
		text += ", for " + strings.Join(k.Kinds, " and ") + " only"
	}
	return text
}

// exactly decodes content without unknown members, so that nothing of what is
// signed goes unsaid.
func exactly(raw json.RawMessage, out any) error {
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.DisallowUnknownFields()
	return d.Decode(out)
}
