package decision

import "fmt"

// MaxChanges bounds a history.
const MaxChanges = 500

// History is how a tenant's keys came to be what they are: the first set, and
// every signed change since.
type History struct {
	First   KeySet   `json:"first"`
	Changes []Signed `json:"changes"`
}

// Find returns the set of the history that has the digest, with what the
// history claims unproved: whoever knows the digest from elsewhere may believe
// the set. ErrKey where there is none.
func (h History) Find(digest string) (KeySet, error) {
	sets := []KeySet{h.First}
	for _, c := range h.Changes {
		content, err := Content[KeyChangeContent](c.Decision, KeyChange)
		if err != nil {
			return KeySet{}, err
		}
		sets = append(sets, content.KeySet)
	}
	for _, s := range sets {
		if d, err := s.Digest(); err != nil {
			return KeySet{}, err
		} else if d == digest {
			return s, nil
		}
	}
	return KeySet{}, fmt.Errorf("%w: the tenant never had keys of the digest %.80s", ErrKey, digest)
}

// Follow returns the newest set that the signed changes lead to from the set
// that is known. Changes up to the known version are passed over.
func (h History) Follow(known KeySet) (KeySet, error) {
	if len(h.Changes) > MaxChanges {
		return known, fmt.Errorf("%w: more than %d changes of keys", ErrForm, MaxChanges)
	}
	for _, c := range h.Changes {
		if c.Decision.Version <= known.Version {
			continue
		}
		// When it was signed is not known here. The chain itself keeps the order.
		next, err := known.Next(c, c.Decision.IssuedAt)
		if err != nil {
			return known, err
		}
		known = next
	}
	return known, nil
}
