package store

import (
	"database/sql"
	"time"
)

// HostLogin is a login on one of the provider's own hosts.
type HostLogin struct {
	VM, Occurrence          string
	At                      time.Time
	Account, Source, Method string
	Fingerprint             string
	// Certificate is the key id of a certificate, Authority the fingerprint of
	// who signed it.
	Certificate, Authority string
}

// AddHostLogins adds logins; those known already stay as they are.
func (tx *Tx) AddHostLogins(logins []HostLogin) error {
	for _, l := range logins {
		err := tx.exec("add a login on a host", "INSERT INTO host_login (vm_id, occurrence, at, account, source, method, fingerprint, certificate, authority) "+
			"VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (vm_id, occurrence) DO NOTHING",
			l.VM, l.Occurrence, micros(l.At), l.Account, l.Source, l.Method, l.Fingerprint, l.Certificate, l.Authority)
		if err != nil {
			return err
		}
	}
	return nil
}

// HostLogins returns up to limit logins since t, the oldest first.
func (tx *Tx) HostLogins(since time.Time, limit int) ([]HostLogin, error) {
	const query = "SELECT vm_id, occurrence, at, account, source, method, fingerprint, certificate, authority FROM host_login " +
		"WHERE at >= ? ORDER BY at, vm_id, occurrence LIMIT ?"
	return list(tx, "logins on hosts", query, []any{micros(since), limit}, func(rows *sql.Rows) (l HostLogin, err error) {
		var at int64
		err = rows.Scan(&l.VM, &l.Occurrence, &at, &l.Account, &l.Source, &l.Method, &l.Fingerprint, &l.Certificate, &l.Authority)
		l.At = fromMicros(at)
		return l, err
	})
}
