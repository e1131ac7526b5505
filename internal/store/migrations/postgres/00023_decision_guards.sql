-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION decision_decided() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state <> 'pending' OR NEW.state = 'pending' THEN
    RAISE EXCEPTION 'the decision is made already';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER decision_decided BEFORE UPDATE ON decision FOR EACH ROW EXECUTE FUNCTION decision_decided();
-- +goose StatementBegin
CREATE FUNCTION decision_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.id <> NEW.id OR OLD.tenant_id <> NEW.tenant_id OR OLD.kind <> NEW.kind OR OLD.subject <> NEW.subject
     OR OLD.version <> NEW.version OR OLD.body <> NEW.body OR OLD.digest <> NEW.digest OR OLD.issued_at <> NEW.issued_at
     OR OLD.expires_at <> NEW.expires_at OR OLD.proposed_by <> NEW.proposed_by THEN
    RAISE EXCEPTION 'what is to be signed is never changed';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER decision_stays BEFORE UPDATE ON decision FOR EACH ROW EXECUTE FUNCTION decision_stays();
-- +goose StatementBegin
CREATE FUNCTION decision_begins() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.state <> 'pending' THEN
    RAISE EXCEPTION 'a decision begins without a signature';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER decision_begins BEFORE INSERT ON decision FOR EACH ROW EXECUTE FUNCTION decision_begins();
-- +goose StatementBegin
CREATE FUNCTION decision_signed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.state = 'signed' AND NOT EXISTS (SELECT 1 FROM decision_signature WHERE decision_id = NEW.id) THEN
    RAISE EXCEPTION 'the decision has no signature';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER decision_signed BEFORE UPDATE ON decision FOR EACH ROW EXECUTE FUNCTION decision_signed();
-- +goose StatementBegin
CREATE FUNCTION decision_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TRUE THEN
    RAISE EXCEPTION 'decisions are kept';
  END IF;
  RETURN OLD;
END $$;
-- +goose StatementEnd
CREATE TRIGGER decision_kept BEFORE DELETE ON decision FOR EACH ROW EXECUTE FUNCTION decision_kept();
-- +goose StatementBegin
CREATE FUNCTION decision_signature_timely() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM decision WHERE id = NEW.decision_id AND state = 'pending') THEN
    RAISE EXCEPTION 'the decision is made already';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER decision_signature_timely BEFORE INSERT ON decision_signature FOR EACH ROW EXECUTE FUNCTION decision_signature_timely();
-- +goose StatementBegin
CREATE FUNCTION decision_signature_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TRUE THEN
    RAISE EXCEPTION 'signatures are never changed';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER decision_signature_stays BEFORE UPDATE ON decision_signature FOR EACH ROW EXECUTE FUNCTION decision_signature_stays();
-- +goose StatementBegin
CREATE FUNCTION decision_signature_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TRUE THEN
    RAISE EXCEPTION 'signatures are kept';
  END IF;
  RETURN OLD;
END $$;
-- +goose StatementEnd
CREATE TRIGGER decision_signature_kept BEFORE DELETE ON decision_signature FOR EACH ROW EXECUTE FUNCTION decision_signature_kept();
-- +goose StatementBegin
CREATE FUNCTION key_set_follows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.version <> (SELECT COALESCE(MAX(version), 0) + 1 FROM key_set WHERE tenant_id = NEW.tenant_id) THEN
    RAISE EXCEPTION 'the keys were changed meanwhile';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER key_set_follows BEFORE INSERT ON key_set FOR EACH ROW EXECUTE FUNCTION key_set_follows();
-- +goose StatementBegin
CREATE FUNCTION key_set_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TRUE THEN
    RAISE EXCEPTION 'key sets are never changed';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER key_set_stays BEFORE UPDATE ON key_set FOR EACH ROW EXECUTE FUNCTION key_set_stays();
-- +goose StatementBegin
CREATE FUNCTION key_set_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TRUE THEN
    RAISE EXCEPTION 'key sets are kept';
  END IF;
  RETURN OLD;
END $$;
-- +goose StatementEnd
CREATE TRIGGER key_set_kept BEFORE DELETE ON key_set FOR EACH ROW EXECUTE FUNCTION key_set_kept();

-- +goose Down
SELECT 1;
