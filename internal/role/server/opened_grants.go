package server

import "github.com/demarc/demarc/internal/grant"

// Grants lets the provider's people into customers' environments.
func (s *Server) Grants() *grant.Grants { return s.s.grants }
