-- +goose Up
-- +goose StatementBegin
CREATE TRIGGER target_stays BEFORE UPDATE ON target
WHEN OLD.id <> NEW.id OR OLD.name <> NEW.name OR OLD.kind <> NEW.kind OR OLD.address <> NEW.address OR OLD.login <> NEW.login
  OR OLD.trust <> NEW.trust OR OLD.removed_at IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a target can only be removed; add another'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER target_kept BEFORE DELETE ON target
BEGIN SELECT RAISE(ABORT, 'targets are history and are kept'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER session_recording_ends BEFORE UPDATE ON session_recording
WHEN OLD.state <> 'open' OR NEW.state = 'open' OR OLD.id <> NEW.id OR OLD.tenant_id <> NEW.tenant_id OR OLD.grant_id <> NEW.grant_id
  OR OLD.holder_id <> NEW.holder_id OR OLD.target_id <> NEW.target_id OR OLD.kind <> NEW.kind OR OLD.server <> NEW.server
  OR OLD.started_at <> NEW.started_at OR OLD.opened_idx <> NEW.opened_idx
BEGIN SELECT RAISE(ABORT, 'a recording can only be ended, once'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER session_recording_kept BEFORE DELETE ON session_recording
BEGIN SELECT RAISE(ABORT, 'recordings are kept'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER session_segment_follows BEFORE INSERT ON session_segment
WHEN NEW.number <> 1 + (SELECT coalesce(max(number), 0) FROM session_segment WHERE recording_id = NEW.recording_id)
  OR (SELECT state FROM session_recording WHERE id = NEW.recording_id) <> 'open'
BEGIN SELECT RAISE(ABORT, 'a segment follows the last one of an open recording'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER session_segment_stays BEFORE UPDATE ON session_segment
BEGIN SELECT RAISE(ABORT, 'segments of recordings are never changed'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER session_segment_kept BEFORE DELETE ON session_segment
BEGIN SELECT RAISE(ABORT, 'segments of recordings are kept'); END;
-- +goose StatementEnd

-- +goose Down
SELECT 1;
