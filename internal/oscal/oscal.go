// Package oscal writes the contract in the terms of NIST's Open Security
// Controls Assessment Language, and reads component definitions written by
// others. It writes OSCAL 1.2.2 as JSON:
//
//   - Component: the provider's service with every duty of the catalogue, each
//     either provided by the provider or a responsibility of the customer.
//   - SSP: one tenant's system security plan, which inherits what the provider
//     provides and satisfies the tenant's own responsibilities.
//   - ProviderSSP: the plan of the leveraged system that a tenant's plan refers
//     to, with the exports whose UUIDs the tenant's plan names.
//   - Results: assessment results, one finding for each duty and subject.
//
// All are pure functions: equal input gives equal bytes. UUIDs are version 5
// (RFC 9562 section 5.5), derived from the provider and the thing's own name,
// so that they stay the same from export to export. What the standard has no
// place for is a property in the namespace NS.
package oscal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	model "github.com/defenseunicorns/go-oscal/src/types/oscal-1-2-2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/demarc/demarc/internal/responsibility"
)

// NS is the namespace of demarc's properties in OSCAL documents.
const NS = "https://github.com/demarc/demarc/ns/oscal"

// Version is the version of OSCAL that is written.
const Version = model.Version

// Document is an OSCAL document; exactly one of its models is set.
type Document = model.OscalModels

// The roles of the two parties, named as the values of responsibility.Party.
const (
	roleProvider = string(responsibility.Provider)
	roleCustomer = string(responsibility.Customer)
)

// Head is what each document says about itself.
type Head struct {
	// LastModified is when the document was made; the one member that differs
	// between two exports of the same state.
	LastModified time.Time
	// Provider is who runs the cloud. Its ID must stay the same for as long as
	// the installation exists: every UUID is derived from it. Required.
	Provider Organization
}

// Organization is the provider or a tenant. Both members are required.
type Organization struct{ ID, Name string }

// Encode writes the document as indented JSON that ends in a newline. It
// streams: the results of a big tenant have hundreds of megabytes.
func Encode(w io.Writer, d *Document) error {
	if err := json.MarshalWrite(w, d, jsontext.WithIndent("  ")); err != nil {
		return fmt.Errorf("oscal: encode document: %w", err)
	}
	if _, err := io.WriteString(w, "\n"); err != nil {
		return fmt.Errorf("oscal: encode document: %w", err)
	}
	return nil
}

// space derives UUIDs for what one provider writes.
type space uuid.UUID

func (h Head) space() space {
	ns := uuid.NewSHA1(uuid.NameSpaceURL, []byte(NS))
	return space(uuid.NewSHA1(ns, []byte("provider/"+h.Provider.ID)))
}

// of returns the UUID of the thing with this name. The parts are joined so that
// no two different lists of parts give the same name.
func (s space) of(parts ...string) string {
	var name bytes.Buffer
	for _, p := range parts {
		fmt.Fprintf(&name, "%d:%s", len(p), p)
	}
	return uuid.NewSHA1(uuid.UUID(s), name.Bytes()).String()
}

// seal gives the document its own UUID, derived from all it says but its time:
// OSCAL asks for a new document UUID whenever the content changes, and only then.
func (s space) seal(d *Document, id *string, head *model.Metadata) error {
	modified := head.LastModified
	head.LastModified, *id = time.Time{}, ""
	sum := sha256.New()
	if err := json.MarshalWrite(sum, d); err != nil {
		return fmt.Errorf("oscal: derive the document's UUID: %w", err)
	}
	head.LastModified, *id = modified, s.of("document", hex.EncodeToString(sum.Sum(nil)))
	return nil
}

func (h Head) check() error {
	switch {
	case h.Provider.ID == "" || line(h.Provider.Name) == "":
		return fmt.Errorf("oscal: the provider needs an id and a name")
	case h.LastModified.IsZero():
		return fmt.Errorf("oscal: the document needs the time when it is made")
	}
	return nil
}

func (h Head) metadata(s space, title, version string, tenant *Organization) model.Metadata {
	roles := []model.Role{{ID: roleProvider, Title: "Cloud service provider"}, {ID: roleCustomer, Title: "Cloud service customer"}}
	parties := []model.Party{{UUID: s.providerParty(), Type: "organization", Name: line(h.Provider.Name)}}
	responsible := []model.ResponsibleParty{{RoleId: roleProvider, PartyUuids: []string{s.providerParty()}}}
	if tenant != nil {
		id := s.tenantParty(tenant.ID)
		parties = append(parties, model.Party{UUID: id, Type: "organization", Name: line(tenant.Name)})
		responsible = append(responsible, model.ResponsibleParty{RoleId: roleCustomer, PartyUuids: []string{id}})
	}
	return model.Metadata{
		Title: markup(title), Version: version, OscalVersion: Version,
		LastModified: h.LastModified.UTC().Truncate(time.Second),
		Roles:        &roles, Parties: &parties, ResponsibleParties: &responsible,
	}
}

func (s space) providerParty() string           { return s.of("party", "provider") }
func (s space) providerComponent() string       { return s.of("component", "provider") }
func (s space) tenantParty(id string) string    { return s.of("party", "tenant", id) }
func (s space) provided(cat, d string) string   { return s.of("provided", cat, d) }
func (s space) owed(cat, d string) string       { return s.of("responsibility", cat, d) }
func (s space) catalogueSource(c string) string { return s.of("resource", "catalogue", c) }

// props collects properties in the namespace NS; those without a value are left out.
type props []model.Property

func (p *props) add(name, value string) {
	if value = line(value); value != "" {
		*p = append(*p, model.Property{Ns: NS, Name: name, Value: value})
	}
}

func (p *props) time(name string, t time.Time) {
	if !t.IsZero() {
		p.add(name, t.UTC().Format(time.RFC3339))
	}
}

// list returns nil for no items, because OSCAL has no empty arrays.
func list[T any](items []T) *[]T {
	if len(items) == 0 {
		return nil
	}
	return &items
}
