-- +goose Up
-- +goose StatementBegin
CREATE TRIGGER review_signed BEFORE UPDATE ON review
WHEN OLD.signed_at IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a review that was signed off stays as it is'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER review_kept BEFORE DELETE ON review
BEGIN SELECT RAISE(ABORT, 'reviews are kept'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER incident_closed BEFORE UPDATE ON incident
WHEN OLD.closed_at IS NOT NULL OR OLD.tenant_id <> NEW.tenant_id OR OLD.vm_id <> NEW.vm_id OR OLD.kind <> NEW.kind
  OR OLD.occurrence <> NEW.occurrence OR OLD.words <> NEW.words OR OLD.evidence <> NEW.evidence OR OLD.opened_at <> NEW.opened_at
BEGIN SELECT RAISE(ABORT, 'an incident can only be closed'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER incident_kept BEFORE DELETE ON incident
BEGIN SELECT RAISE(ABORT, 'incidents are kept'); END;
-- +goose StatementEnd

-- +goose Down
SELECT 1;
