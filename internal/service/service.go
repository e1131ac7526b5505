// Package service is the contract between demarc and its managed security
// services. A service lives in its own folder below this one:
//
//	internal/service/NAME           New() service.Service: manifest, fact kinds,
//	                                catalogue rows, and, where it judges facts
//	                                on the server, the Deriver
//	internal/service/NAME/observer  New() service.Observer: the half that runs
//	                                in the agent, kept free of server weight
//
// Nothing outside that folder is edited to add one: the lists in service/all
// and service/all/agent are generated from the folders.
package service

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/demarc/demarc/internal/evidence"
)

// Service is what every service gives: a description of itself.
type Service interface {
	// Manifest describes the service. It is constant: same value every time,
	// safe for concurrent use, and not to be modified by the caller.
	Manifest() Manifest
}

// Manifest describes a service to the server, the console and the catalogue.
type Manifest struct {
	// Name is what catalogue rows and subscriptions call it, "file-integrity".
	Name string
	// Title and Doc are for people: a few words, and one or two sentences.
	Title, Doc string
	// Standard services run on every enrolled machine without a subscription:
	// they only look. The others run where a subscription covers the machine.
	Standard bool
	// Kinds are the kinds of fact that the service provides.
	Kinds []evidence.Kind
	// Catalogue is a catalogue fragment in YAML (controls, duties, facts), or nil.
	Catalogue []byte
	// Policy describes the service's policy document, or nil if it has none.
	Policy *evidence.Type
}

// Deriver is the optional ability of a service to judge facts on the server:
// it makes new facts of facts. It must be a pure function of its input.
type Deriver interface {
	Service
	// Reads lists the fact kinds whose change calls for Derive.
	Reads() []string
	// Derive returns the facts that follow from in. A fact that it cannot
	// judge for want of input is left out; an error says that the service
	// itself is broken, and is shown as lost coverage.
	Derive(in Input) ([]Derived, error)
}

// Comparer is the optional ability of a Deriver to tell cheaply that a change
// leaves its result as it is.
type Comparer interface {
	Deriver
	// Affected reports whether Derive may give another result for now than for
	// before. They differ in facts of the changed kinds only, of which both
	// have one; Observed does not count. It may be wrong in saying yes only.
	Affected(before, now Input, changed []string) bool
}

// Preparer is the optional ability of a service to look at the fact kinds of
// all services before it is used, for instance to check the expressions that
// it judges facts by. Services do not import each other; this is how one
// learns the form of another's facts.
type Preparer interface {
	Service
	// Prepare is called once, before every method but Manifest and from one
	// goroutine. kinds are those of all registered services. An error means
	// that service and kinds do not fit together; the server does not start.
	Prepare(kinds []evidence.Kind) error
}

// PolicyChecker is the optional ability of a service to say more about a
// policy document than its form does.
type PolicyChecker interface {
	Service
	// CheckPolicy returns nil if doc is a policy that the service will obey in
	// full, or else an error for people that says what is wrong, where, and
	// how to mend it. The server asks before a policy is stored or offered
	// for signature.
	CheckPolicy(doc json.RawMessage) error
}

// Input is what a Deriver judges: everything about one subject at one moment.
type Input struct {
	Subject evidence.Subject
	Now     time.Time
	// Facts returns the latest fact of a kind about the subject.
	Facts func(kind string) (evidence.Fact, bool)
	// Policy is the service's policy for the subject in canonical JSON, nil if none was set.
	Policy json.RawMessage
	// Waivers are those on the service's own rules ("NAME/RULE" as the duty)
	// that are in force for the subject.
	Waivers []evidence.Waiver
}

// Derived is a fact made of facts.
type Derived struct {
	Kind string
	// Data is encoded as JSON in the form that the kind declares.
	Data any
	// Observed is the time of the oldest fact it rests on.
	Observed time.Time
	// Again, if set, is when the result changes without any fact changing,
	// for instance because a waiver ends.
	Again time.Time
}

// Observer is the half of a service that runs in the agent.
type Observer interface {
	// Name is the service's name, as in its manifest.
	Name() string
	// Needs lists what it requires of the host; the agent reports each need
	// that is not fulfilled as lost coverage, and still runs the observer.
	Needs() []Need
	// Run observes until ctx ends and returns nil then. It owns its goroutines
	// and waits for them. Any other return is a failure: the agent reports it
	// as lost coverage and starts Run again, with growing pauses.
	Run(ctx context.Context, host Host) error
}

// Host is what the agent gives an observer. All methods are safe for concurrent use.
type Host struct {
	// Root is the directory that stands for "/", never empty. Tests point it elsewhere.
	Root string
	// Dir is a directory of the observer's own for what it must remember over
	// a restart. It may not exist yet; empty means that there is none.
	Dir string
	Log *slog.Logger
	// Emit hands a record over. It returns when the record is durably in the
	// spool, or with ErrShed if it was dropped for want of room (counted and
	// reported), or with evidence.ErrRecord if the record is malformed.
	Emit func(ctx context.Context, r evidence.Record) error
	// Coverage tells what the observer watches and why it does not watch the
	// rest. The whole list of an aspect replaces the former one.
	Coverage func(c Coverage)
	// Refresh delivers a value when somebody asks for fresh facts at once.
	Refresh <-chan struct{}
	// Policy returns the service's policy for this machine in canonical JSON and
	// its version, or nil and 0 where none counts now: none was set, or it ended.
	// The agent has checked that the customer signed it, for this machine, and
	// that it is the newest; the observer still has to check its form. Asked
	// anew, it gives what counts then.
	Policy func() (json.RawMessage, int64)
	// PolicyChanged delivers a value when Policy returns another one than before.
	// It may deliver one too many.
	PolicyChanged <-chan struct{}
}

// Need is something that an observer requires of the host.
type Need struct {
	// What names it in a word or two: "root", "fanotify", "systemd".
	What string
	// For says what is not seen without it.
	For string
	// Check returns nil if the host has it, or the reason why not.
	Check func(Host) error
}

// Coverage says of one aspect of a service whether it is watched.
type Coverage struct {
	// Aspect is a fact kind or another name for what should be watched.
	Aspect string
	// Watched is false if any part of it is not watched; Reason then says, in
	// plain words, what is missing, why, and what would mend it.
	Watched bool
	Reason  string
}
