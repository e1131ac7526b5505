package server

import (
	"context"
	"net/http"

	"github.com/demarc/demarc/internal/authz"
	"github.com/demarc/demarc/internal/events"
	"github.com/demarc/demarc/internal/httpapi"
	"github.com/demarc/demarc/internal/identity"
	"github.com/demarc/demarc/internal/recording"
	"github.com/demarc/demarc/internal/store"
)

// Server is an opened server. Its parts are safe for concurrent use whether it
// runs or not; what needs the timers, such as signed checkpoints, comes with Run.
type Server struct{ s *server }

// Run runs the server until ctx ends.
func (s *Server) Run(ctx context.Context) error { return s.s.run(ctx) }

// Close closes what Open opened. Run must have ended.
func (s *Server) Close() error { return s.s.close() }

// Handler serves console and API as --http does.
func (s *Server) Handler() http.Handler { return s.s.handler }

// API is the HTTP API.
func (s *Server) API() *httpapi.API { return s.s.api }

// Store is the state store.
func (s *Server) Store() *store.Store { return s.s.store }

// Identities checks and issues credentials.
func (s *Server) Identities() *identity.Identities { return s.s.identities }

// Policy decides who may do what.
func (s *Server) Policy() *authz.Policy { return s.s.policy }

// Recorder records sessions.
func (s *Server) Recorder() *recording.Recorder { return s.s.recorder }

// Events carries changed verdicts to watchers.
func (s *Server) Events() *events.Broker { return s.s.broker }

// FirstToken is the administrator's token at the very first start, else "".
func (s *Server) FirstToken() string { return s.s.firstToken }
