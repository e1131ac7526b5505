package contract_test

import (
	"testing"
	"time"

	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/lifecycle"
	"github.com/demarc/demarc/internal/store"
)

// seed makes a tenant with a VM and returns the tenant's id.
func seed(t *testing.T, s *store.Store, at time.Time) string {
	t.Helper()
	err := s.Write(t.Context(), func(tx *store.Tx) error {
		if err := tx.InsertTenant(&estate.Tenant{ID: "t-1", Name: "acme", CreatedAt: at}); err != nil {
			return err
		}
		if err := tx.InsertVDC(&estate.VDC{ID: "vdc-1", Tenant: "t-1", Name: "main", CreatedAt: at}); err != nil {
			return err
		}
		return tx.InsertVM(&estate.VM{ID: "vm-1", Tenant: "t-1", VDC: "vdc-1", Name: "web", State: lifecycle.Active, CreatedAt: at})
	})
	if err != nil {
		t.Fatal(err)
	}
	return "t-1"
}
