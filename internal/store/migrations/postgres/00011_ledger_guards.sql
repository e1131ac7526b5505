-- +goose Up
-- SQLite numbers rows by INTEGER alone, which is too small here.
ALTER TABLE ledger_entry ALTER COLUMN idx TYPE BIGINT;
-- +goose StatementBegin
CREATE FUNCTION ledger_entry_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TRUE THEN
    RAISE EXCEPTION 'ledger entries are never changed';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER ledger_entry_stays BEFORE UPDATE ON ledger_entry FOR EACH ROW EXECUTE FUNCTION ledger_entry_stays();
-- +goose StatementBegin
CREATE FUNCTION ledger_entry_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TRUE THEN
    RAISE EXCEPTION 'ledger entries are kept';
  END IF;
  RETURN OLD;
END $$;
-- +goose StatementEnd
CREATE TRIGGER ledger_entry_kept BEFORE DELETE ON ledger_entry FOR EACH ROW EXECUTE FUNCTION ledger_entry_kept();
-- +goose StatementBegin
CREATE FUNCTION ledger_tile_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.level <> NEW.level OR OLD.idx <> NEW.idx OR length(NEW.hashes) <= length(OLD.hashes)
     OR substring(NEW.hashes FROM 1 FOR length(OLD.hashes)) <> OLD.hashes THEN
    RAISE EXCEPTION 'a ledger tile only grows';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER ledger_tile_grows BEFORE UPDATE ON ledger_tile FOR EACH ROW EXECUTE FUNCTION ledger_tile_grows();
-- +goose StatementBegin
CREATE FUNCTION ledger_tile_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TRUE THEN
    RAISE EXCEPTION 'ledger tiles are kept';
  END IF;
  RETURN OLD;
END $$;
-- +goose StatementEnd
CREATE TRIGGER ledger_tile_kept BEFORE DELETE ON ledger_tile FOR EACH ROW EXECUTE FUNCTION ledger_tile_kept();
-- +goose StatementBegin
CREATE FUNCTION ledger_head_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.size <= OLD.size THEN
    RAISE EXCEPTION 'the ledger only grows';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER ledger_head_grows BEFORE UPDATE ON ledger_head FOR EACH ROW EXECUTE FUNCTION ledger_head_grows();
-- +goose StatementBegin
CREATE FUNCTION ledger_head_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TRUE THEN
    RAISE EXCEPTION 'the head of the ledger is kept';
  END IF;
  RETURN OLD;
END $$;
-- +goose StatementEnd
CREATE TRIGGER ledger_head_kept BEFORE DELETE ON ledger_head FOR EACH ROW EXECUTE FUNCTION ledger_head_kept();
-- +goose StatementBegin
CREATE FUNCTION ledger_checkpoint_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TRUE THEN
    RAISE EXCEPTION 'checkpoints are never changed';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER ledger_checkpoint_stays BEFORE UPDATE ON ledger_checkpoint FOR EACH ROW EXECUTE FUNCTION ledger_checkpoint_stays();
-- +goose StatementBegin
CREATE FUNCTION ledger_checkpoint_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TRUE THEN
    RAISE EXCEPTION 'checkpoints are kept';
  END IF;
  RETURN OLD;
END $$;
-- +goose StatementEnd
CREATE TRIGGER ledger_checkpoint_kept BEFORE DELETE ON ledger_checkpoint FOR EACH ROW EXECUTE FUNCTION ledger_checkpoint_kept();
-- +goose StatementBegin
CREATE FUNCTION ledger_key_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.from_size <> NEW.from_size OR OLD.vkey <> NEW.vkey THEN
    RAISE EXCEPTION 'a key of the ledger is never changed';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER ledger_key_stays BEFORE UPDATE ON ledger_key FOR EACH ROW EXECUTE FUNCTION ledger_key_stays();
-- +goose StatementBegin
CREATE FUNCTION ledger_key_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TRUE THEN
    RAISE EXCEPTION 'keys of the ledger are kept';
  END IF;
  RETURN OLD;
END $$;
-- +goose StatementEnd
CREATE TRIGGER ledger_key_kept BEFORE DELETE ON ledger_key FOR EACH ROW EXECUTE FUNCTION ledger_key_kept();
-- +goose StatementBegin
CREATE FUNCTION ledger_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the ledger is kept';
END $$;
-- +goose StatementEnd
CREATE TRIGGER ledger_entry_whole BEFORE TRUNCATE ON ledger_entry FOR EACH STATEMENT EXECUTE FUNCTION ledger_kept();
CREATE TRIGGER ledger_tile_whole BEFORE TRUNCATE ON ledger_tile FOR EACH STATEMENT EXECUTE FUNCTION ledger_kept();
CREATE TRIGGER ledger_head_whole BEFORE TRUNCATE ON ledger_head FOR EACH STATEMENT EXECUTE FUNCTION ledger_kept();
CREATE TRIGGER ledger_checkpoint_whole BEFORE TRUNCATE ON ledger_checkpoint FOR EACH STATEMENT EXECUTE FUNCTION ledger_kept();
CREATE TRIGGER ledger_key_whole BEFORE TRUNCATE ON ledger_key FOR EACH STATEMENT EXECUTE FUNCTION ledger_kept();

-- +goose Down
SELECT 1;
