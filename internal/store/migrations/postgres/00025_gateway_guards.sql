-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION target_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.id <> NEW.id OR OLD.name <> NEW.name OR OLD.kind <> NEW.kind OR OLD.address <> NEW.address
     OR OLD.login <> NEW.login OR OLD.trust <> NEW.trust OR OLD.removed_at IS NOT NULL THEN
    RAISE EXCEPTION 'a target can only be removed; add another';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER target_stays BEFORE UPDATE ON target FOR EACH ROW EXECUTE FUNCTION target_stays();
-- +goose StatementBegin
CREATE FUNCTION target_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TRUE THEN
    RAISE EXCEPTION 'targets are history and are kept';
  END IF;
  RETURN OLD;
END $$;
-- +goose StatementEnd
CREATE TRIGGER target_kept BEFORE DELETE ON target FOR EACH ROW EXECUTE FUNCTION target_kept();
-- +goose StatementBegin
CREATE FUNCTION session_recording_ends() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state <> 'open' OR NEW.state = 'open' OR OLD.id <> NEW.id OR OLD.tenant_id <> NEW.tenant_id
     OR OLD.grant_id <> NEW.grant_id OR OLD.holder_id <> NEW.holder_id OR OLD.target_id <> NEW.target_id OR OLD.kind <> NEW.kind
     OR OLD.server <> NEW.server OR OLD.started_at <> NEW.started_at OR OLD.opened_idx <> NEW.opened_idx THEN
    RAISE EXCEPTION 'a recording can only be ended, once';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER session_recording_ends BEFORE UPDATE ON session_recording FOR EACH ROW EXECUTE FUNCTION session_recording_ends();
-- +goose StatementBegin
CREATE FUNCTION session_recording_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TRUE THEN
    RAISE EXCEPTION 'recordings are kept';
  END IF;
  RETURN OLD;
END $$;
-- +goose StatementEnd
CREATE TRIGGER session_recording_kept BEFORE DELETE ON session_recording FOR EACH ROW EXECUTE FUNCTION session_recording_kept();
-- +goose StatementBegin
CREATE FUNCTION session_segment_follows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.number <> 1 + (SELECT coalesce(max(number), 0) FROM session_segment WHERE recording_id = NEW.recording_id)
     OR (SELECT state FROM session_recording WHERE id = NEW.recording_id) <> 'open' THEN
    RAISE EXCEPTION 'a segment follows the last one of an open recording';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER session_segment_follows BEFORE INSERT ON session_segment FOR EACH ROW EXECUTE FUNCTION session_segment_follows();
-- +goose StatementBegin
CREATE FUNCTION session_segment_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TRUE THEN
    RAISE EXCEPTION 'segments of recordings are never changed';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER session_segment_stays BEFORE UPDATE ON session_segment FOR EACH ROW EXECUTE FUNCTION session_segment_stays();
-- +goose StatementBegin
CREATE FUNCTION session_segment_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TRUE THEN
    RAISE EXCEPTION 'segments of recordings are kept';
  END IF;
  RETURN OLD;
END $$;
-- +goose StatementEnd
CREATE TRIGGER session_segment_kept BEFORE DELETE ON session_segment FOR EACH ROW EXECUTE FUNCTION session_segment_kept();

-- +goose Down
SELECT 1;
