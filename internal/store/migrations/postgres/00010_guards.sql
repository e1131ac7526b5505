-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION vm_begins() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM lifecycle_move WHERE from_state = '' AND to_state = NEW.state) THEN
    RAISE EXCEPTION 'a VM cannot begin in this state';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER vm_begins BEFORE INSERT ON vm FOR EACH ROW EXECUTE FUNCTION vm_begins();
-- +goose StatementBegin
CREATE FUNCTION vm_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state <> NEW.state AND NOT EXISTS (SELECT 1 FROM lifecycle_move WHERE from_state = OLD.state AND to_state = NEW.state) THEN
    RAISE EXCEPTION 'illegal move of a VM';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER vm_moves BEFORE UPDATE OF state ON vm FOR EACH ROW EXECUTE FUNCTION vm_moves();
-- +goose StatementBegin
CREATE FUNCTION vm_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.tenant_id <> NEW.tenant_id OR OLD.vdc_id <> NEW.vdc_id THEN
    RAISE EXCEPTION 'a VM stays in its VDC';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER vm_stays BEFORE UPDATE ON vm FOR EACH ROW EXECUTE FUNCTION vm_stays();
-- +goose StatementBegin
CREATE FUNCTION subscription_past() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.tenant_id <> NEW.tenant_id OR OLD.service <> NEW.service OR OLD.covers <> NEW.covers
     OR OLD.covers_id <> NEW.covers_id OR OLD.from_at <> NEW.from_at THEN
    RAISE EXCEPTION 'a subscription can only be ended';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER subscription_past BEFORE UPDATE ON subscription FOR EACH ROW EXECUTE FUNCTION subscription_past();
-- +goose StatementBegin
CREATE FUNCTION subscription_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TRUE THEN
    RAISE EXCEPTION 'subscriptions are history and are kept';
  END IF;
  RETURN OLD;
END $$;
-- +goose StatementEnd
CREATE TRIGGER subscription_kept BEFORE DELETE ON subscription FOR EACH ROW EXECUTE FUNCTION subscription_kept();
-- +goose StatementBegin
CREATE FUNCTION enrolment_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.used_at IS NOT NULL THEN
    RAISE EXCEPTION 'an enrolment token is used once';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER enrolment_once BEFORE UPDATE ON enrolment_token FOR EACH ROW EXECUTE FUNCTION enrolment_once();
-- +goose StatementBegin
CREATE FUNCTION agent_revoked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.revoked_at IS NOT NULL THEN
    RAISE EXCEPTION 'a revoked agent stays revoked';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER agent_revoked BEFORE UPDATE ON agent FOR EACH ROW EXECUTE FUNCTION agent_revoked();

-- +goose Down
SELECT 1;
