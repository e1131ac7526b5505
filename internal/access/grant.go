package access

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// GrantState is where a grant of environment access is in its life.
type GrantState string

const (
	// Requested: the customer's approvers have it before them.
	Requested GrantState = "requested"
	// InReview: they asked for more information; the holder has to answer.
	InReview GrantState = "in-review"
	// Approved: signed, but to begin later.
	Approved GrantState = "approved"
	// InForce: sessions can be opened.
	InForce GrantState = "active"
	// Expired: its time ran out.
	Expired GrantState = "expired"
	// Revoked: customer or provider ended it before its time.
	Revoked GrantState = "revoked"
	// Closed: the holder ended it with the task, or withdrew the request.
	Closed GrantState = "closed"
	// Refused: the customer said no.
	Refused GrantState = "refused"
	// Lapsed: nobody decided in time.
	Lapsed GrantState = "lapsed"
)

// GrantStates lists every state in the order of a life.
var GrantStates = []GrantState{Requested, InReview, Approved, InForce, Expired, Revoked, Closed, Refused, Lapsed}

// GrantMove is a step from one state to another; an empty From marks the states
// that a grant can begin in.
type GrantMove struct{ From, To GrantState }

// GrantMoves lists every legal move. The database refuses all others.
var GrantMoves = []GrantMove{
	{"", Requested},
	{"", InForce}, // break-glass only
	{Requested, InReview},
	{Requested, Approved},
	{Requested, InForce},
	{Requested, Refused},
	{Requested, Lapsed},
	{Requested, Closed}, // withdrawn
	{InReview, Requested},
	{InReview, Approved},
	{InReview, InForce},
	{InReview, Refused},
	{InReview, Lapsed},
	{InReview, Closed},
	{Approved, InForce},
	{Approved, Expired}, // no server ran between beginning and end
	{Approved, Revoked},
	{Approved, Closed},
	{InForce, Expired},
	{InForce, Revoked},
	{InForce, Closed},
}

// ErrGrantMove is wrapped by NextGrant.
var ErrGrantMove = errors.New("illegal move of a grant")

// NextGrant returns to if the move from one state to the other is legal.
func NextGrant(from, to GrantState) (GrantState, error) {
	if slices.Contains(GrantMoves, GrantMove{from, to}) {
		return to, nil
	}
	return from, fmt.Errorf("%w: it is %s and cannot become %s", ErrGrantMove, from, to)
}

// Open reports whether the customer's decision is still awaited.
func (s GrantState) Open() bool { return s == Requested || s == InReview }

// Over reports whether nothing can follow.
func (s GrantState) Over() bool {
	return !slices.ContainsFunc(GrantMoves, func(m GrantMove) bool { return m.From == s })
}

// Limits of grants.
const (
	// LongestGrant bounds how long a grant is in force.
	LongestGrant = 12 * time.Hour
	// LongestBreakGlass bounds access that nobody approved.
	LongestBreakGlass = time.Hour
	// GrantAhead is how far ahead a grant can be approved.
	GrantAhead = 30 * 24 * time.Hour
	// NoticeWithin is how soon the customer is told what was done in an emergency.
	NoticeWithin = 24 * time.Hour
	// ClockSkew is how far the clocks of servers may be apart: a grant that is in
	// force on one of them is so on another whose clock is behind.
	ClockSkew = 5 * time.Second
	// GrantScopes is how many abilities a grant holds at most.
	GrantScopes = 50
)

// Ability is one thing that a grant lets its holder do. Targets are hosts and
// web consoles of the platform; there is no ability that means a guest.
type Ability struct {
	// Do is one of Doings.
	Do string `json:"do"`
	// Target is the id or name of a registered target.
	Target string `json:"target"`
}

// Doings are what can be done at a target: an interactive shell, a web console,
// a single command, copying files, forwarding a port.
var Doings = []string{"shell", "console", "exec", "sftp", "forward"}

var targetForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$`)

// Check reports what is wrong with the ability.
func (a Ability) Check() error {
	if !slices.Contains(Doings, a.Do) {
		return fmt.Errorf("%q is nothing that can be done at a target; it is one of %v", clip(a.Do), Doings)
	}
	if !targetForm.MatchString(a.Target) {
		return fmt.Errorf("%q cannot be a target: it is the id or name of a registered one, of lower-case letters, digits, '.', '_' and '-'", clip(a.Target))
	}
	return nil
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:77] + "..."
	}
	return s
}

// Narrower reports whether everything in scope is in wide as well.
func Narrower(scope, wide []Ability) bool {
	return !slices.ContainsFunc(scope, func(a Ability) bool { return !slices.Contains(wide, a) })
}
