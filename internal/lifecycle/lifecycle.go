// Package lifecycle says which states a VM or VDC can be in and which moves
// between them are legal. The table is data: the state store is filled from it
// and refuses every other move as well.
package lifecycle

import (
	"errors"
	"fmt"
	"slices"
)

// State is where a VM or VDC is in its life.
type State string

const (
	Ordered      State = "ordered"
	Provisioning State = "provisioning"
	Active       State = "active"
	Suspended    State = "suspended"
	Disabled     State = "disabled"   // terminated, no access
	Retained     State = "retained"   // kept for the month of grace
	Sanitizing   State = "sanitizing" // being erased
	Deleted      State = "deleted"
)

// States lists every state in the order of a life.
var States = []State{Ordered, Provisioning, Active, Suspended, Disabled, Retained, Sanitizing, Deleted}

// Move is a step from one state to another.
type Move struct{ From, To State }

// Moves lists every legal move.
var Moves = []Move{
	{Ordered, Provisioning},
	{Ordered, Deleted}, // withdrawn before anything was built
	{Provisioning, Active},
	{Provisioning, Deleted}, // rolled back
	{Active, Suspended},
	{Suspended, Active},
	{Active, Disabled},
	{Suspended, Disabled},
	{Disabled, Retained},
	{Disabled, Active}, // termination cancelled
	{Retained, Active}, // termination cancelled in the month of grace
	{Retained, Sanitizing},
	{Sanitizing, Deleted},
}

// Initial lists the states that an object can begin in: ordered through the
// product, or active where a running machine is enrolled.
var Initial = []State{Ordered, Active}

// ErrIllegalMove is wrapped by Next.
var ErrIllegalMove = errors.New("illegal move")

// Next returns to if the move from one state to the other is legal.
func Next(from, to State) (State, error) {
	if slices.Contains(Moves, Move{from, to}) {
		return to, nil
	}
	return from, fmt.Errorf("%w from %s to %s; from %s it can become %v", ErrIllegalMove, from, to, from, following(from))
}

func following(from State) []State {
	var to []State
	for _, m := range Moves {
		if m.From == from {
			to = append(to, m.To)
		}
	}
	return to
}
