-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION grant_begins() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM grant_move WHERE from_state = '' AND to_state = NEW.state) OR (NEW.state = 'active' AND NEW.break_glass = 0) OR NEW.version <> 1 THEN
    RAISE EXCEPTION 'a grant begins as a request, or active where glass is broken';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER grant_begins BEFORE INSERT ON access_grant FOR EACH ROW EXECUTE FUNCTION grant_begins();
-- +goose StatementBegin
CREATE FUNCTION grant_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state <> NEW.state AND NOT EXISTS (SELECT 1 FROM grant_move WHERE from_state = OLD.state AND to_state = NEW.state) THEN
    RAISE EXCEPTION 'illegal move of a grant';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER grant_moves BEFORE UPDATE ON access_grant FOR EACH ROW EXECUTE FUNCTION grant_moves();
-- +goose StatementBegin
CREATE FUNCTION grant_recorded() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.version <> OLD.version + 1 OR NOT EXISTS (SELECT 1 FROM grant_event WHERE grant_id = NEW.id AND number = NEW.version AND from_state = OLD.state AND to_state = NEW.state) THEN
    RAISE EXCEPTION 'a grant changes only with its history';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER grant_recorded BEFORE UPDATE ON access_grant FOR EACH ROW EXECUTE FUNCTION grant_recorded();
-- +goose StatementBegin
CREATE FUNCTION grant_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.id <> NEW.id OR OLD.tenant_id <> NEW.tenant_id OR OLD.holder_id <> NEW.holder_id OR OLD.purpose <> NEW.purpose OR OLD.scope <> NEW.scope
     OR OLD.duration_us <> NEW.duration_us OR OLD.wanted_at <> NEW.wanted_at OR OLD.extends_id <> NEW.extends_id OR OLD.break_glass <> NEW.break_glass
     OR OLD.requested_at <> NEW.requested_at OR OLD.lapses_at <> NEW.lapses_at OR OLD.notice_due <> NEW.notice_due
     OR (OLD.ticket <> '' AND OLD.ticket <> NEW.ticket) THEN
    RAISE EXCEPTION 'what was asked for stays';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER grant_stays BEFORE UPDATE ON access_grant FOR EACH ROW EXECUTE FUNCTION grant_stays();
-- +goose StatementBegin
CREATE FUNCTION grant_signed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.from_at > 0 AND (OLD.from_at <> NEW.from_at OR OLD.until_at <> NEW.until_at OR OLD.granted <> NEW.granted
     OR OLD.decision_id <> NEW.decision_id OR OLD.approved_by <> NEW.approved_by) THEN
    RAISE EXCEPTION 'what was granted stays; ask for an extension';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER grant_signed BEFORE UPDATE ON access_grant FOR EACH ROW EXECUTE FUNCTION grant_signed();
-- +goose StatementBegin
CREATE FUNCTION grant_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TRUE THEN
    RAISE EXCEPTION 'grants are history and are kept';
  END IF;
  RETURN OLD;
END $$;
-- +goose StatementEnd
CREATE TRIGGER grant_kept BEFORE DELETE ON access_grant FOR EACH ROW EXECUTE FUNCTION grant_kept();
-- +goose StatementBegin
CREATE FUNCTION grant_event_past() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TRUE THEN
    RAISE EXCEPTION 'the history of a grant is permanent';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER grant_event_past BEFORE UPDATE ON grant_event FOR EACH ROW EXECUTE FUNCTION grant_event_past();
-- +goose StatementBegin
CREATE FUNCTION grant_event_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TRUE THEN
    RAISE EXCEPTION 'the history of a grant is permanent';
  END IF;
  RETURN OLD;
END $$;
-- +goose StatementEnd
CREATE TRIGGER grant_event_kept BEFORE DELETE ON grant_event FOR EACH ROW EXECUTE FUNCTION grant_event_kept();

-- +goose Down
SELECT 1;
