-- +goose Up
-- +goose StatementBegin
CREATE TRIGGER ledger_entry_stays BEFORE UPDATE ON ledger_entry
BEGIN SELECT RAISE(ABORT, 'ledger entries are never changed'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER ledger_entry_kept BEFORE DELETE ON ledger_entry
BEGIN SELECT RAISE(ABORT, 'ledger entries are kept'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER ledger_tile_grows BEFORE UPDATE ON ledger_tile
WHEN OLD.level <> NEW.level OR OLD.idx <> NEW.idx OR length(NEW.hashes) <= length(OLD.hashes)
  OR substr(NEW.hashes, 1, length(OLD.hashes)) <> OLD.hashes
BEGIN SELECT RAISE(ABORT, 'a ledger tile only grows'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER ledger_tile_kept BEFORE DELETE ON ledger_tile
BEGIN SELECT RAISE(ABORT, 'ledger tiles are kept'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER ledger_head_grows BEFORE UPDATE ON ledger_head
WHEN NEW.size <= OLD.size
BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER ledger_head_kept BEFORE DELETE ON ledger_head
BEGIN SELECT RAISE(ABORT, 'the head of the ledger is kept'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER ledger_checkpoint_stays BEFORE UPDATE ON ledger_checkpoint
BEGIN SELECT RAISE(ABORT, 'checkpoints are never changed'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER ledger_checkpoint_kept BEFORE DELETE ON ledger_checkpoint
BEGIN SELECT RAISE(ABORT, 'checkpoints are kept'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER ledger_key_stays BEFORE UPDATE ON ledger_key
WHEN OLD.from_size <> NEW.from_size OR OLD.vkey <> NEW.vkey
BEGIN SELECT RAISE(ABORT, 'a key of the ledger is never changed'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER ledger_key_kept BEFORE DELETE ON ledger_key
BEGIN SELECT RAISE(ABORT, 'keys of the ledger are kept'); END;
-- +goose StatementEnd

-- +goose Down
SELECT 1;
