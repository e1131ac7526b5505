package store

import (
	"database/sql"
	"time"

	"github.com/uptrace/bun"

	"github.com/demarc/demarc/internal/evidence"
)

// Target is something that sessions of the provider's people can reach.
type Target struct {
	ID, Name string
	Kind     string // host or web
	// Address is HOST:PORT of a host, the URL of a web console.
	Address string
	// Login is the account that sessions have on a host.
	Login string
	// Trust says by what the target is known.
	Trust     Trust
	CreatedAt time.Time
	RemovedAt *time.Time
}

// Trust is by what a target is known: a host by its keys or by an authority
// that signs host keys, a web console by authorities or a digest.
type Trust struct {
	// HostKeys and HostCA are lines as in an authorized_keys file.
	HostKeys []string `json:"host_keys,omitempty"`
	HostCA   []string `json:"host_ca,omitempty"`
	// CA is PEM, Pin the SHA-256 of the certificate's public key
	// (SubjectPublicKeyInfo) as "sha256:<64 hex digits>".
	CA  string `json:"ca,omitempty"`
	Pin string `json:"pin,omitempty"`
}

type targetRow struct {
	bun.BaseModel `bun:"table:target"`
	ID            string `bun:",pk"`
	Name          string
	Kind          string
	Address       string
	Login         string
	Trust         string
	CreatedAt     int64
	RemovedAt     *int64
}

func (r targetRow) target() (Target, error) {
	trust, err := decode[Trust](r.Trust, "trust of target "+r.ID)
	return Target{
		ID: r.ID, Name: r.Name, Kind: r.Kind, Address: r.Address, Login: r.Login, Trust: trust,
		CreatedAt: fromMicros(r.CreatedAt), RemovedAt: fromMicrosPtr(r.RemovedAt),
	}, err
}

// InsertTarget adds a target.
func (tx *Tx) InsertTarget(t Target) error {
	return insert(tx, &targetRow{
		ID: t.ID, Name: t.Name, Kind: t.Kind, Address: t.Address, Login: t.Login, Trust: encode(t.Trust), CreatedAt: micros(t.CreatedAt),
	}, "target "+t.Name)
}

// Target returns the target of that id, removed ones too, or else the one that
// has the name now.
func (tx *Tx) Target(ref string) (Target, error) {
	var row targetRow
	q := tx.db.NewSelect().Where("id = ? OR (name = ? AND removed_at IS NULL)", ref, ref).OrderExpr("id = ? DESC", ref).Limit(1)
	return one(tx, q, &row, "target", ref, targetRow.target)
}

// Targets lists the targets that were not removed.
func (tx *Tx) Targets(p Page) ([]Target, error) {
	return many(tx, p.apply(tx.db.NewSelect(), "id").Where("removed_at IS NULL"), "targets", targetRow.target)
}

// RemoveTarget takes a target out of reach.
func (tx *Tx) RemoveTarget(id string, now time.Time) error {
	res, err := tx.db.NewUpdate().Table("target").Set("removed_at = ?", micros(now)).Where("id = ? AND removed_at IS NULL", id).Exec(tx.ctx)
	return changed(res, err, "target", id)
}

// NetworkFacts returns the facts about the network interfaces of customers' VMs
// whose text holds the address. Hosts of the provider's own are left out.
func (tx *Tx) NetworkFacts(address string) ([]evidence.Fact, error) {
	const query = "SELECT subject_id, tenant_id, data FROM fact WHERE kind = 'host.network' AND data LIKE ? " +
		"AND tenant_id IN (SELECT id FROM tenant WHERE own = 0) LIMIT 1000"
	return list(tx, "facts about networks", query, []any{`%"` + address + `%`}, func(rows *sql.Rows) (evidence.Fact, error) {
		var f evidence.Fact
		var data string
		err := rows.Scan(&f.Subject.ID, &f.Subject.Tenant, &data)
		f.Subject.Scope, f.Kind, f.Data = evidence.ScopeVM, "host.network", []byte(data)
		return f, err
	})
}
