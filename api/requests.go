package api

import (
	"encoding/json"
	"time"
)

// NewTenant asks for a tenant.
type NewTenant struct {
	Name string `json:"name" doc:"1 to 63 lower-case letters, digits, '.', '_' or '-'"`
	// Own makes a tenant for the provider's own hosts. It cannot be changed later.
	Own bool `json:"own,omitempty" doc:"for the provider's own hosts; cannot be changed later"`
}

// NewVDC asks for a VDC.
type NewVDC struct {
	Name string `json:"name"`
}

// NewVM registers a VM that runs already.
type NewVM struct {
	VDC      string      `json:"vdc" doc:"id or name"`
	Name     string      `json:"name"`
	Declared Declaration `json:"declared,omitzero"`
}

// ChangeVM changes what is declared about a VM. The whole declaration is replaced.
type ChangeVM struct {
	Declared Declaration `json:"declared"`
}

// NewContact asks for a contact, or replaces one.
type NewContact struct {
	Role      string `json:"role" enum:"administrator,security,billing"`
	Name      string `json:"name"`
	Mail      string `json:"mail"`
	Telephone string `json:"telephone,omitempty"`
}

// NewSubscription buys a managed service.
type NewSubscription struct {
	Service string     `json:"service"`
	VDC     string     `json:"vdc,omitempty" doc:"id or name; with neither vdc nor vm it covers all VMs"`
	VM      string     `json:"vm,omitempty" doc:"id or name"`
	From    *time.Time `json:"from,omitempty" doc:"now if missing; never in the past"`
	To      *time.Time `json:"to,omitempty"`
}

// EndSubscription ends a subscription.
type EndSubscription struct {
	At *time.Time `json:"at,omitempty" doc:"now if missing; never in the past"`
}

// NewStatement attests a duty or waives it.
type NewStatement struct {
	Duty        string       `json:"duty"`
	VM          string       `json:"vm,omitempty" doc:"id or name; with neither vm nor vdc it is about the tenant"`
	VDC         string       `json:"vdc,omitempty"`
	Text        string       `json:"text" doc:"what is attested, or why the risk is accepted"`
	Attachments []Attachment `json:"attachments,omitempty"`
	Effective   *time.Time   `json:"effective,omitempty" doc:"now if missing"`
	Expires     time.Time    `json:"expires"`
}

// NewEnrolmentToken asks for a token that enrols one machine.
type NewEnrolmentToken struct {
	VDC    string `json:"vdc" doc:"id or name"`
	VMName string `json:"vm_name,omitempty" doc:"the machine's own name if empty"`
	// Minutes until it expires; 60 if missing.
	Minutes int `json:"minutes,omitempty" minimum:"0" maximum:"10080"`
}

// NewPrincipal asks for a principal with a token of its own.
type NewPrincipal struct {
	Name   string `json:"name"`
	Role   string `json:"role" enum:"provider-operator,provider-support,provider-security,provider-compliance,provider-administrator,provider-auditor,customer-owner,customer-administrator,customer-approver,customer-viewer,customer-auditor"`
	Tenant string `json:"tenant,omitempty" doc:"required for customer roles"`
	Days   int    `json:"days,omitempty" minimum:"0" maximum:"366" doc:"until it expires; 90 if missing"`
	// Scope narrows the token to these actions; missing is all that the role may do.
	Scope []string `json:"scope,omitempty" maxItems:"40" doc:"actions that the token is narrowed to; all that the role may do if missing"`
}

// NewPolicy sets a service's policy for a tenant or one of its VMs.
type NewPolicy struct {
	VM       string          `json:"vm,omitempty"`
	Document json.RawMessage `json:"document"`
	// Until is when agents stop to obey it; missing is until another replaces it.
	Until *time.Time `json:"until,omitempty" doc:"agents obey it until then; missing is until another replaces it"`
}

// CatalogueSource is a catalogue file.
type CatalogueSource struct {
	File   string `json:"file" doc:"its name, for messages"`
	Source string `json:"source" doc:"YAML"`
}
