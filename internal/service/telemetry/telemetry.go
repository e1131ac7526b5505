// Package telemetry is the service that says what a machine is and how it is
// set up: the facts that duties and hardening rules are judged by. It only
// looks; it changes nothing.
package telemetry

import "github.com/demarc/demarc/internal/service"

// New returns the service.
func New() service.Service { return telemetry{} }

type telemetry struct{}

// Manifest implements service.Service.
func (telemetry) Manifest() service.Manifest {
	return service.Manifest{
		Name:     "telemetry",
		Title:    "Host facts",
		Doc:      "Reads the state of a machine: system, packages, accounts, network, firewall, logs and resources.",
		Standard: true,
		Kinds:    Kinds,
	}
}
