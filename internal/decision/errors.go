package decision

import "errors"

// Why a decision does not count. What wraps them says which decision or key,
// and what would mend it.
var (
	// ErrForm: it is no decision, key set or signature at all.
	ErrForm = errors.New("malformed")
	// ErrUnsigned: it lacks a signature, or some of those that are needed.
	ErrUnsigned = errors.New("not signed")
	// ErrExpired: it was not signed in its time, or no longer counts.
	ErrExpired = errors.New("expired")
	// ErrForeign: it is about another tenant, machine or service.
	ErrForeign = errors.New("not meant for this one")
	// ErrRolledBack: a newer version is there already.
	ErrRolledBack = errors.New("older than what is in force")
	// ErrReplayed: it, or one of its signatures, was used already.
	ErrReplayed = errors.New("used already")
	// ErrKey: the key is unknown, was removed, or may not sign this kind.
	ErrKey = errors.New("key does not count")
	// ErrSignature: the key did not make this signature over this decision.
	ErrSignature = errors.New("signature does not fit")
	// ErrOrigin: the assertion was made for another page or relying party.
	ErrOrigin = errors.New("made for another page")
	// ErrNotVerified: the authenticator did not check who used it.
	ErrNotVerified = errors.New("the person was not verified")
)

// reasons names the classes of refusal, for counting and for machines to read.
var reasons = []struct {
	err  error
	name string
}{
	{ErrForm, "malformed"}, {ErrUnsigned, "unsigned"}, {ErrExpired, "expired"}, {ErrForeign, "foreign"}, {ErrRolledBack, "rolled-back"},
	{ErrReplayed, "replayed"}, {ErrKey, "key"}, {ErrSignature, "signature"}, {ErrOrigin, "origin"}, {ErrNotVerified, "not-verified"},
}

// Reason returns the class of a refusal in one word; empty if err is none.
func Reason(err error) string {
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return r.name
		}
	}
	return ""
}
