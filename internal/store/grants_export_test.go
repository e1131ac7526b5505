package store

// Statement runs a statement as somebody with the database's password could.
func Statement(tx *Tx, text string) error {
	_, err := tx.db.Tx.ExecContext(tx.ctx, text)
	return err
}
