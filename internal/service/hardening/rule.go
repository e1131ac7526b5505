package hardening

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
)

// Severity says how much a failed rule matters.
type Severity string

const (
	// High is what every machine must meet: alone, its failure opens the
	// machine or blinds those who watch it.
	High Severity = "high"
	// Medium and Low are what a machine should meet.
	Medium Severity = "medium"
	Low    Severity = "low"
)

// Rule is one rule of a baseline.
type Rule struct {
	// ID is stable for ever: tailorings and waivers name it.
	ID, Title, Category string
	Severity            Severity
	// Level is the lowest level of the baseline that asks for the rule: 1 for
	// every server, 2 where security goes before convenience.
	Level int
	// Families are the distribution families that the rule is written for.
	Families []string
	// Tags put the rule into one of the lists of the result, see tags.
	Tags []string
	// The rest are CEL expressions over the facts. Applies and Known are
	// optional: a rule that does not apply does not concern the machine; one
	// that applies and is not known is unknown, for the facts then hold only a
	// default where the observer could not look.
	Applies, Known, Pass Expression
	// Message gives a text that says what was found, empty for nothing.
	Message Expression
	// Passed, if set, is shown when the rule passes, and Message is evaluated
	// only when it fails: for rules that look for what should not be there.
	Passed    string
	Rationale string
	// References name standard, version and number.
	References []string
	// Remedy says how to mend it, by family.
	Remedy map[string]string
}

// Expression is a CEL expression and where it stands, so that a fault can be
// shown at its place.
type Expression struct {
	Text string

	file         string
	line, column int
	block        bool // a block scalar: the text starts on the next line
}

// Tags of rules.
const (
	// TagWeakNetwork marks weak ciphers, protocol versions and daemons.
	TagWeakNetwork = "weak-network"
	// TagDatabase marks rules about databases.
	TagDatabase = "database"
)

// Families that baselines are written for.
const (
	Debian = "debian"
	RHEL   = "rhel"
)

var (
	severities = []string{string(High), string(Medium), string(Low)}
	families   = []string{Debian, RHEL}
	tags       = []string{TagDatabase, TagWeakNetwork}
)

// baselineVersion counts what a reader of results must know about: it grows
// when the meaning of the result's members changes.
const baselineVersion = "1"

// versionOf names the state of a rule set: the version of the form and a
// digest of the files, so that two results can be compared only if the same
// rules made them.
func versionOf(files fs.FS) (string, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return "", fmt.Errorf("list rule files: %w", err)
	}
	h := sha256.New()
	for _, name := range names { // Glob sorts
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return "", fmt.Errorf("read rule file %s: %w", name, err)
		}
		fmt.Fprintf(h, "%s %d\n", name, len(b))
		h.Write(b)
	}
	return baselineVersion + "+" + hex.EncodeToString(h.Sum(nil)[:6]), nil
}
