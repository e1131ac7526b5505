// Package estate names what the contract is about: tenants, their virtual data
// centres (VDCs) and virtual machines, and the people to be told. It does no
// I/O and has no clock.
package estate

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/lifecycle"
)

// ErrInvalid is wrapped by every refusal of a malformed object.
var ErrInvalid = errors.New("invalid")

// Tenant is one customer of the provider, or the provider itself, whose own
// hosts are assets of its own tenant.
type Tenant struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Ordinal is a small number unique to the tenant, for stores that separate
	// tenants by number. It is never given to another tenant.
	Ordinal uint32 `json:"-"`
	// Own marks a tenant of the provider: its own hosts. It never changes.
	Own       bool      `json:"own,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	Version   int64     `json:"version"`
}

// VDC is a virtual data centre of a tenant.
type VDC struct {
	ID        string    `json:"id"`
	Tenant    string    `json:"tenant"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
	Version   int64     `json:"version"`
}

// VM is a virtual machine in a VDC. Its VDC never changes.
type VM struct {
	ID     string          `json:"id"`
	Tenant string          `json:"tenant"`
	VDC    string          `json:"vdc"`
	Name   string          `json:"name"`
	State  lifecycle.State `json:"state"`
	// Declared is what the customer says the machine is for. Duties compare
	// with it what is seen.
	Declared  Declaration `json:"declared"`
	CreatedAt time.Time   `json:"created_at"`
	Version   int64       `json:"version"`
}

// Declaration is what the customer declares about a VM.
type Declaration struct {
	// Role says what it is for, in a word: "web", "database".
	Role string `json:"role,omitempty"`
	// Environment is production, test, development or another name.
	Environment string `json:"environment,omitempty"`
	// Accountable is the contact who answers for the VM.
	Accountable string `json:"accountable,omitempty"`
	// Listeners are the sockets it is meant to offer, as "tcp/443".
	Listeners []string `json:"listeners,omitempty"`
	// Services are the units it is meant to run besides those of the system.
	Services []string `json:"services,omitempty"`
	// SensitivePaths hold data that must be encrypted.
	SensitivePaths []string `json:"sensitive_paths,omitempty"`
	// AdminSources are the addresses that administrators come from, as CIDR prefixes.
	AdminSources []string `json:"admin_sources,omitempty"`
	// Administrators are the accounts of the VM's registered administrators.
	Administrators []string `json:"administrators,omitempty"`
	// Unmanaged, if set, is the accepted reason why no agent runs on it.
	Unmanaged string `json:"unmanaged,omitempty"`
}

// Contact is a person to be told. It holds no more than its members: names,
// mail and telephone are all that the contract allows.
type Contact struct {
	ID     string      `json:"id"`
	Tenant string      `json:"tenant"`
	Role   ContactRole `json:"role"`
	// Name, Mail and Telephone are personal data: encrypted where they are
	// kept, and never in a log, an error or the ledger.
	Name      string     `json:"name"`
	Mail      string     `json:"mail"`
	Telephone string     `json:"telephone,omitempty"`
	Verified  *time.Time `json:"verified,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
	Version   int64      `json:"version"`
}

// ContactRole is what a contact is told about.
type ContactRole string

const (
	Administrator   ContactRole = "administrator"
	SecurityContact ContactRole = "security"
	BillingContact  ContactRole = "billing"
)

var name = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$`)

// CheckName reports whether s can name a tenant, VDC or VM: 1 to 63 lower-case
// letters, digits, dots, underscores and hyphens, as in a DNS label sequence.
func CheckName(what, s string) error {
	if !name.MatchString(s) {
		return fmt.Errorf("%w: %s name %q must have 1 to 63 lower-case letters, digits, '.', '_' or '-', and begin and end with a letter or digit", ErrInvalid, what, clip(s))
	}
	return nil
}

// clip shortens foreign text for a message.
func clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:77], "") + "..."
	}
	return s
}

// Limits of what a customer may declare about one VM.
const (
	maxDeclared     = 200
	maxDeclaredText = 200
)

// Check reports what is wrong with d.
func (d Declaration) Check() error {
	texts := []string{d.Role, d.Environment, d.Accountable, d.Unmanaged}
	for _, list := range [][]string{d.Listeners, d.Services, d.SensitivePaths, d.AdminSources, d.Administrators} {
		if len(list) > maxDeclared {
			return fmt.Errorf("%w: a declared list has %d items, the limit is %d", ErrInvalid, len(list), maxDeclared)
		}
		texts = append(texts, list...)
	}
	for _, s := range texts {
		if len(s) > maxDeclaredText || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }) {
			return fmt.Errorf("%w: declared text %q must have at most %d characters and no control characters", ErrInvalid, clip(s), maxDeclaredText)
		}
	}
	for _, p := range d.SensitivePaths {
		if !strings.HasPrefix(p, "/") {
			return fmt.Errorf("%w: sensitive path %q must be absolute", ErrInvalid, clip(p))
		}
	}
	return nil
}
