-- +goose Up
-- +goose StatementBegin
CREATE TRIGGER vm_begins BEFORE INSERT ON vm
WHEN NOT EXISTS (SELECT 1 FROM lifecycle_move WHERE from_state = '' AND to_state = NEW.state)
BEGIN SELECT RAISE(ABORT, 'a VM cannot begin in this state'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER vm_moves BEFORE UPDATE OF state ON vm
WHEN OLD.state <> NEW.state AND NOT EXISTS (SELECT 1 FROM lifecycle_move WHERE from_state = OLD.state AND to_state = NEW.state)
BEGIN SELECT RAISE(ABORT, 'illegal move of a VM'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER vm_stays BEFORE UPDATE ON vm
WHEN OLD.tenant_id <> NEW.tenant_id OR OLD.vdc_id <> NEW.vdc_id
BEGIN SELECT RAISE(ABORT, 'a VM stays in its VDC'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER subscription_past BEFORE UPDATE ON subscription
WHEN OLD.tenant_id <> NEW.tenant_id OR OLD.service <> NEW.service OR OLD.covers <> NEW.covers
  OR OLD.covers_id <> NEW.covers_id OR OLD.from_at <> NEW.from_at
BEGIN SELECT RAISE(ABORT, 'a subscription can only be ended'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER subscription_kept BEFORE DELETE ON subscription
BEGIN SELECT RAISE(ABORT, 'subscriptions are history and are kept'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER enrolment_once BEFORE UPDATE ON enrolment_token
WHEN OLD.used_at IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'an enrolment token is used once'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER agent_revoked BEFORE UPDATE ON agent
WHEN OLD.revoked_at IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a revoked agent stays revoked'); END;
-- +goose StatementEnd

-- +goose Down
SELECT 1;
