package store

import (
	"time"

	"github.com/uptrace/bun"
)

// StoredCatalogue is a catalogue that was loaded, as its author wrote it.
type StoredCatalogue struct {
	Name, Version string
	Source        string
	Digest        string
	// From is when it came into force; it is in force until the next version
	// of the same name does.
	From time.Time
}

type catalogueRow struct {
	bun.BaseModel `bun:"table:catalogue"`
	Name          string `bun:",pk"`
	Version       string `bun:",pk"`
	Source        string
	Digest        string
	FromAt        int64
}

func (r catalogueRow) catalogue() (StoredCatalogue, error) {
	return StoredCatalogue{Name: r.Name, Version: r.Version, Source: r.Source, Digest: r.Digest, From: fromMicros(r.FromAt)}, nil
}

// InsertCatalogue adds a version of a catalogue; ErrConflict if it is there.
func (tx *Tx) InsertCatalogue(c StoredCatalogue) error {
	return insert(tx, &catalogueRow{Name: c.Name, Version: c.Version, Source: c.Source, Digest: c.Digest, FromAt: micros(c.From)}, "catalogue")
}

// Catalogues returns all versions of all catalogues, by name and time.
func (tx *Tx) Catalogues() ([]StoredCatalogue, error) {
	return many(tx, tx.db.NewSelect().Order("name", "from_at"), "catalogues", catalogueRow.catalogue)
}
