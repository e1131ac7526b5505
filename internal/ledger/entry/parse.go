package entry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// maxJSON bounds an entry's JSON: four identifiers and the digests.
const maxJSON = 4*MaxIdentifier + MaxDigests*(64+71+8) + 256

// maxSequence is the greatest integer that RFC 8785 can write exactly.
const maxSequence = 1<<53 - 1

// Parse reads canonical JSON. Any other form of the same entry is refused, so
// that Parse and AppendCanonical are each other's inverse.
func Parse(canonical []byte) (Entry, error) {
	if len(canonical) > maxJSON {
		return Entry{}, fmt.Errorf("%w: %d bytes; at most %d are allowed", ErrInvalid, len(canonical), maxJSON)
	}
	var raw struct {
		Action   string            `json:"action"`
		Actor    string            `json:"actor"`
		Digests  map[string]string `json:"digests"`
		Sequence int64             `json:"sequence"`
		Subject  string            `json:"subject"`
		Tenant   string            `json:"tenant"`
		Time     string            `json:"time"`
	}
	if err := json.Unmarshal(canonical, &raw); err != nil {
		return Entry{}, fmt.Errorf("%w: not JSON of an entry", ErrInvalid)
	}
	at, err := time.Parse(timeForm, raw.Time)
	if err != nil {
		return Entry{}, fmt.Errorf("%w: time is not of the form %s", ErrInvalid, timeForm)
	}
	e := Entry{Time: at, Tenant: raw.Tenant, Sequence: raw.Sequence, Actor: raw.Actor, Action: raw.Action, Subject: raw.Subject, Digests: raw.Digests}
	if err := e.Check(); err != nil {
		return Entry{}, err
	}
	if e.Sequence < 1 || e.Sequence > maxSequence {
		return Entry{}, fmt.Errorf("%w: sequence %d is not between 1 and %d", ErrInvalid, e.Sequence, int64(maxSequence))
	}
	if !bytes.Equal(e.AppendCanonical(nil), canonical) {
		return Entry{}, fmt.Errorf("%w: its JSON is not canonical", ErrInvalid)
	}
	return e, nil
}

// ParseDigests reads the canonical JSON object that AppendDigests writes.
func ParseDigests(canonical string) (map[string]string, error) {
	if canonical == "{}" {
		return nil, nil
	}
	var digests map[string]string
	if err := json.Unmarshal([]byte(canonical), &digests); err != nil {
		return nil, fmt.Errorf("%w: digests are not a JSON object of strings", ErrInvalid)
	}
	if string(AppendDigests(nil, digests)) != canonical {
		return nil, fmt.Errorf("%w: digests are not canonical JSON", ErrInvalid)
	}
	return digests, nil
}
