-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION review_signed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.signed_at IS NOT NULL THEN
    RAISE EXCEPTION 'a review that was signed off stays as it is';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER review_signed BEFORE UPDATE ON review FOR EACH ROW EXECUTE FUNCTION review_signed();
-- +goose StatementBegin
CREATE FUNCTION review_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'reviews are kept';
END $$;
-- +goose StatementEnd
CREATE TRIGGER review_kept BEFORE DELETE ON review FOR EACH ROW EXECUTE FUNCTION review_kept();
-- +goose StatementBegin
CREATE FUNCTION incident_closed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.closed_at IS NOT NULL OR OLD.tenant_id <> NEW.tenant_id OR OLD.vm_id <> NEW.vm_id OR OLD.kind <> NEW.kind
     OR OLD.occurrence <> NEW.occurrence OR OLD.words <> NEW.words OR OLD.evidence <> NEW.evidence OR OLD.opened_at <> NEW.opened_at THEN
    RAISE EXCEPTION 'an incident can only be closed';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER incident_closed BEFORE UPDATE ON incident FOR EACH ROW EXECUTE FUNCTION incident_closed();
-- +goose StatementBegin
CREATE FUNCTION incident_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'incidents are kept';
END $$;
-- +goose StatementEnd
CREATE TRIGGER incident_kept BEFORE DELETE ON incident FOR EACH ROW EXECUTE FUNCTION incident_kept();

-- +goose Down
SELECT 1;
