package decision

import (
	"crypto/ed25519"
	"fmt"
	"reflect"
	"slices"
	"time"
)

// Verify checks that the tenant's keys signed d at the moment now, and returns
// the keys that did. Every signature must be good, and there must be as many
// holders as the set asks for; fewer good ones are ErrUnsigned with by set.
//
// Whoever cannot know when a decision was signed passes its IssuedAt, and
// relies on whoever took the signature for its time. A key that was removed
// counts no more; what it signed before is proved by the set of that time.
func (s KeySet) Verify(d Signed, now time.Time) (by []Key, err error) {
	if d.Decision.Kind == KeyChange {
		_, by, err = s.change(d, now)
		return by, err
	}
	by, err = s.signers(d, now)
	if err != nil {
		return by, err
	}
	holders := map[string]bool{}
	for _, k := range by {
		if k.Holder == "" {
			return by, fmt.Errorf("%w: %s is a recovery key, which signs nothing but a change of keys", ErrKey, k.ID)
		}
		holders[k.Holder] = true
	}
	if need := s.Needs(d.Decision.Kind); len(holders) < need {
		return by, fmt.Errorf("%w: %d of %d people have signed it", ErrUnsigned, len(holders), need)
	}
	return by, nil
}

// signers checks form, time and signatures, and returns the keys that made them.
func (s KeySet) signers(d Signed, now time.Time) (by []Key, err error) {
	text, err := d.Decision.Canonical()
	if err != nil {
		return nil, err
	}
	switch {
	case d.Decision.Tenant != s.Tenant:
		return nil, fmt.Errorf("%w: it is a decision of tenant %s, and the keys are those of %s", ErrForeign, d.Decision.Tenant, s.Tenant)
	case !now.Before(d.Decision.ExpiresAt):
		return nil, fmt.Errorf("%w: it had to be signed before %s; propose it anew", ErrExpired, d.Decision.ExpiresAt.Format(time.RFC3339))
	case now.Before(d.Decision.IssuedAt.Add(-MaxSkew)):
		return nil, fmt.Errorf("%w: it was issued at %s, which is still to come: a clock is wrong", ErrExpired, d.Decision.IssuedAt.Format(time.RFC3339))
	case len(d.Signatures) == 0:
		return nil, fmt.Errorf("%w: there is no signature", ErrUnsigned)
	case len(d.Signatures) > MaxSignatures:
		return nil, fmt.Errorf("%w: it has more than %d signatures", ErrForm, MaxSignatures)
	}
	seen := map[string]bool{}
	for _, sig := range d.Signatures {
		if seen[sig.Key] {
			return nil, fmt.Errorf("%w: key %.60s signed twice, which counts once: ask another", ErrReplayed, sig.Key)
		}
		seen[sig.Key] = true
		k, _, ok := s.Key(sig.Key)
		if !ok {
			return nil, fmt.Errorf("%w: %.60s is not among the tenant's keys of version %d: it is unknown or was removed", ErrKey, sig.Key, s.Version)
		}
		if !k.May(d.Decision.Kind) {
			return nil, fmt.Errorf("%w: %s may not sign a decision of kind %s", ErrKey, k.ID, d.Decision.Kind)
		}
		if err := k.verify(sig, text); err != nil {
			return nil, err
		}
		by = append(by, k)
	}
	return by, nil
}

// MaxSkew bounds how far a decision's clock may be ahead of its verifier's.
const MaxSkew = 5 * time.Minute

// verify checks one signature over the canonical bytes of a decision.
func (k Key) verify(sig Signature, text []byte) error {
	public, err := k.public()
	if err != nil {
		return err
	}
	if sig.Algorithm != k.Algorithm {
		return fmt.Errorf("%w: key %s is of algorithm %s, the signature of %.40q", ErrSignature, k.ID, k.Algorithm, sig.Algorithm)
	}
	if k.Algorithm == WebAuthn {
		return k.verifyAssertion(public, sig, text)
	}
	p, ok := public.(ed25519.PublicKey)
	if !ok || len(sig.AuthenticatorData) > 0 || len(sig.ClientData) > 0 {
		return fmt.Errorf("%w: it is no Ed25519 signature of key %s", ErrForm, k.ID)
	}
	if !ed25519.Verify(p, Message(text), sig.Signature) {
		return fmt.Errorf("%w: key %s did not sign this decision", ErrSignature, k.ID)
	}
	return nil
}

// Next returns the key set that a signed key-change puts in the place of s, or
// why it does not. It needs
//   - a signature by a key of s (as many as s asks for): a rotation, or
//   - signatures by Threshold recovery keys: a recovery.
//
// Where s has recovery keys, only a recovery may change them, so that whoever
// steals a daily key cannot shut out those who could repair the theft.
func (s KeySet) Next(change Signed, now time.Time) (KeySet, error) {
	next, _, err := s.change(change, now)
	return next, err
}

func (s KeySet) change(d Signed, now time.Time) (KeySet, []Key, error) {
	c, err := Content[KeyChangeContent](d.Decision, KeyChange)
	if err != nil {
		return KeySet{}, nil, err
	}
	next := c.KeySet
	if err := next.Check(); err != nil {
		return KeySet{}, nil, err
	}
	mine, err := s.Digest()
	if err != nil {
		return KeySet{}, nil, err
	}
	switch {
	case next.Tenant != s.Tenant || d.Decision.Subject != "tenant/"+s.Tenant:
		return KeySet{}, nil, fmt.Errorf("%w: it changes the keys of tenant %s, and these are those of %s", ErrForeign, next.Tenant, s.Tenant)
	case d.Decision.Version <= s.Version:
		return KeySet{}, nil, fmt.Errorf("%w: version %d of the keys was replaced already", ErrRolledBack, d.Decision.Version)
	case d.Decision.Version != s.Version+1 || next.Version != d.Decision.Version || c.Previous != mine:
		return KeySet{}, nil, fmt.Errorf("%w: it does not follow version %d of the keys", ErrForeign, s.Version)
	}
	by, err := s.signers(d, now)
	if err != nil {
		return KeySet{}, nil, err
	}
	if err := s.allowed(next, by); err != nil {
		return KeySet{}, by, err
	}
	return next, by, nil
}

// allowed decides whether those who signed may put next in the place of s.
func (s KeySet) allowed(next KeySet, by []Key) error {
	holders, recovery := map[string]bool{}, 0
	for _, k := range by {
		if k.Holder == "" {
			recovery++
		} else {
			holders[k.Holder] = true
		}
	}
	if s.Threshold > 0 && recovery >= s.Threshold {
		return nil
	}
	touched := s.Threshold != next.Threshold || !slices.EqualFunc(s.Recovery, next.Recovery, func(a, b Key) bool {
		return reflect.DeepEqual(a, b)
	})
	switch {
	case s.Threshold > 0 && touched:
		return fmt.Errorf("%w: it changes the recovery keys, for which %d of them must sign; %d have", ErrUnsigned, s.Threshold, recovery)
	case len(holders) < s.Needs(KeyChange):
		return fmt.Errorf("%w: %d of %d people have signed it, or %d of %d recovery keys", ErrUnsigned, len(holders), s.Needs(KeyChange), recovery, s.Threshold)
	}
	return nil
}
