package console

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/demarc/demarc/api"
)

func hexBytes(s string) ([]byte, error) { return hex.DecodeString(s) }

// wordLine is a part of a decision's content in words.
type wordLine struct {
	Name  string
	Lines []string
}

// kindTitles name the kinds of decisions; %s is the subject.
var kindTitles = map[string]string{
	"agent-policy": "Policy for %s", "access-approval": "Access of the provider", "maintenance-consent": "Consent to maintenance",
	"waiver": "Waiver for %s", "termination": "End of the contract", "erase": "Erasure of data", "key-change": "Change of the signing keys",
}

// content has the members of every kind's content that are told in words. What
// it does not know is in the canonical form, which the page shows whole.
type content struct {
	// agent-policy
	Service  string          `json:"service"`
	Document json.RawMessage `json:"document"`
	// access-approval
	Holder     string    `json:"holder"`
	HolderName string    `json:"holder_name"`
	Ticket     string    `json:"ticket"`
	Purpose    string    `json:"purpose"`
	Scope      scopeOr   `json:"scope"`
	From       time.Time `json:"from"`
	Until      time.Time `json:"until"`
	Seconds    int64     `json:"seconds"`
	BreakGlass bool      `json:"break_glass"`
	// waiver
	Duty    string    `json:"duty"`
	Reason  string    `json:"reason"`
	Expires time.Time `json:"expires"`
	// key-change
	KeySet *struct {
		Version   int64          `json:"version"`
		Keys      []contentKey   `json:"keys"`
		Recovery  []contentKey   `json:"recovery"`
		Threshold int            `json:"threshold"`
		Required  map[string]int `json:"required"`
	} `json:"key_set"`
	// maintenance-consent, termination, erase
	What    string    `json:"what"`
	At      time.Time `json:"at"`
	Return  string    `json:"return"`
	Objects []string  `json:"objects"`
	Method  string    `json:"method"`
}

type contentKey struct {
	ID, Name, Holder, Algorithm string
}

// scopeOr is a list of abilities, or a word where the kind has a word there.
type scopeOr []struct{ Do, Target string }

// UnmarshalJSON implements json.Unmarshaler.
func (s *scopeOr) UnmarshalJSON(raw []byte) error {
	var list []struct{ Do, Target string }
	if json.Unmarshal(raw, &list) == nil {
		*s = list
	}
	return nil
}

func subjectWord(d api.Decision) string {
	kind, _, _ := strings.Cut(d.Subject, "/")
	switch {
	case d.SubjectName != "" && kind == "tenant":
		return "all VMs of " + d.SubjectName
	case d.SubjectName != "":
		return d.SubjectName
	}
	return brief(d.Subject, nil)
}

// decisionTitle says in a line what a decision is about, and in another for what.
func decisionTitle(d api.Decision, names map[string]string) (title, summary string) {
	var c content
	_ = json.Unmarshal(d.Content, &c) // what cannot be read is not told
	title = kindTitles[d.Kind]
	switch d.Kind {
	case "":
		title = "Decision"
	case "agent-policy":
		title = "Policy of " + orElse(c.Service, "a service") + " for " + subjectWord(d)
		summary = "version " + strconv.FormatInt(d.Version, 10)
	case "access-approval":
		title = "Access for " + holderWord(c, names)
		summary = strings.Join(append(abilities(c), c.Ticket), ", ")
	case "waiver":
		title = "Waiver of " + orElse(c.Duty, "a duty")
		if d.SubjectName != "" {
			title += " for " + d.SubjectName
		}
		summary = c.Reason
	default:
		title = strings.ReplaceAll(orElse(title, strings.ReplaceAll(d.Kind, "-", " ")), "%s", subjectWord(d))
		summary = c.What
	}
	return title, summary
}

func holderWord(c content, names map[string]string) string {
	return orElse(names[c.Holder], orElse(c.HolderName, orElse(brief(c.Holder, nil), "somebody")))
}

func abilities(c content) (out []string) {
	for _, a := range c.Scope {
		out = append(out, a.Do+" at "+a.Target)
	}
	return out
}

// inWords tells the content of a decision, and its longest text apart.
func inWords(d api.Decision, names map[string]string) (lines []wordLine, quote string) {
	var c content
	if json.Unmarshal(d.Content, &c) != nil {
		return []wordLine{{"Content", []string{"This console cannot tell it in words. Read the canonical form below before you sign."}}}, ""
	}
	add := func(name string, words ...string) {
		words = slices.DeleteFunc(words, func(s string) bool { return s == "" })
		if len(words) > 0 {
			lines = append(lines, wordLine{name, words})
		}
	}
	when := func(name string, t time.Time) {
		if !t.IsZero() {
			add(name, momentWord(t))
		}
	}
	switch d.Kind {
	case "agent-policy":
		add("Service", c.Service)
		add("For", subjectWord(d))
		add("Version", strconv.FormatInt(d.Version, 10))
		when("Until", c.Until)
		quote = pretty(c.Document)
	case "access-approval":
		add("Who", holderWord(c, names)+" of the provider")
		add("Ticket", c.Ticket)
		add("To do", abilities(c)...)
		if c.Seconds > 0 {
			add("For", durationWord(time.Duration(c.Seconds)*time.Second))
		}
		if c.From.IsZero() {
			add("From", "the moment of your signature")
		}
		when("From", c.From)
		when("Until", c.Until)
		if c.BreakGlass {
			add("Break-glass", "the access was taken before anybody approved it")
		}
		quote = c.Purpose
	case "waiver":
		add("Duty", c.Duty)
		add("For", subjectWord(d))
		when("Expires", c.Expires)
		quote = c.Reason
	case "key-change":
		if c.KeySet == nil {
			break
		}
		add("Version", strconv.FormatInt(c.KeySet.Version, 10))
		add("Keys then", keyWords(c.KeySet.Keys, names)...)
		add("Recovery", keyWords(c.KeySet.Recovery, names)...)
		if n := len(c.KeySet.Recovery); n > 0 {
			add("It takes", fmt.Sprintf("%d of %d recovery keys", c.KeySet.Threshold, n))
		}
		for kind, n := range c.KeySet.Required {
			add(strings.ReplaceAll(kind, "-", " "), plural(n, "signature"))
		}
	default:
		add("What", c.What)
		add("Objects", c.Objects...)
		add("How", c.Method)
		add("Return", c.Return)
		when("At", c.At)
		when("From", c.From)
		when("Until", c.Until)
	}
	return lines, quote
}

func keyWords(keys []contentKey, names map[string]string) (out []string) {
	for _, k := range keys {
		kind := k.Algorithm
		if kind == "webauthn" {
			kind = "passkey"
		}
		s := orElse(k.Name, "unnamed") + ", " + kind
		if k.Holder != "" {
			s += " of " + orElse(names[k.Holder], brief(k.Holder, nil))
		}
		out = append(out, s+" ("+short(k.ID)+")")
	}
	return out
}

// durationWord tells how long, exactly to the minute.
func durationWord(d time.Duration) string {
	h, m := int(d.Hours()), int(d.Minutes())%60
	switch {
	case h == 0:
		return plural(m, "minute")
	case m == 0:
		return plural(h, "hour")
	}
	return plural(h, "hour") + " " + plural(m, "minute")
}

func momentWord(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04 UTC") }
