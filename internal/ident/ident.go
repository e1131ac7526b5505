// Package ident makes identifiers: sortable by time of making, unique, and
// telling what they identify.
package ident

import (
	"strings"

	"github.com/oklog/ulid/v2"
)

// New returns a new identifier "PREFIX-<26 characters>" in lower case (ULID,
// 80 random bits from the system's source). It is safe for concurrent use.
func New(prefix string) string {
	return prefix + "-" + strings.ToLower(ulid.Make().String())
}
