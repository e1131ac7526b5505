-- +goose Up
-- +goose StatementBegin
CREATE TRIGGER decision_decided BEFORE UPDATE ON decision
WHEN OLD.state <> 'pending' OR NEW.state = 'pending'
BEGIN SELECT RAISE(ABORT, 'the decision is made already'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER decision_stays BEFORE UPDATE ON decision
WHEN OLD.id <> NEW.id OR OLD.tenant_id <> NEW.tenant_id OR OLD.kind <> NEW.kind OR OLD.subject <> NEW.subject
  OR OLD.version <> NEW.version OR OLD.body <> NEW.body OR OLD.digest <> NEW.digest OR OLD.issued_at <> NEW.issued_at
  OR OLD.expires_at <> NEW.expires_at OR OLD.proposed_by <> NEW.proposed_by
BEGIN SELECT RAISE(ABORT, 'what is to be signed is never changed'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER decision_begins BEFORE INSERT ON decision
WHEN NEW.state <> 'pending'
BEGIN SELECT RAISE(ABORT, 'a decision begins without a signature'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER decision_signed BEFORE UPDATE ON decision
WHEN NEW.state = 'signed' AND NOT EXISTS (SELECT 1 FROM decision_signature WHERE decision_id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'the decision has no signature'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER decision_kept BEFORE DELETE ON decision
BEGIN SELECT RAISE(ABORT, 'decisions are kept'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER decision_signature_timely BEFORE INSERT ON decision_signature
WHEN NOT EXISTS (SELECT 1 FROM decision WHERE id = NEW.decision_id AND state = 'pending')
BEGIN SELECT RAISE(ABORT, 'the decision is made already'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER decision_signature_stays BEFORE UPDATE ON decision_signature
BEGIN SELECT RAISE(ABORT, 'signatures are never changed'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER decision_signature_kept BEFORE DELETE ON decision_signature
BEGIN SELECT RAISE(ABORT, 'signatures are kept'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER key_set_follows BEFORE INSERT ON key_set
WHEN NEW.version <> (SELECT COALESCE(MAX(version), 0) + 1 FROM key_set WHERE tenant_id = NEW.tenant_id)
BEGIN SELECT RAISE(ABORT, 'the keys were changed meanwhile'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER key_set_stays BEFORE UPDATE ON key_set
BEGIN SELECT RAISE(ABORT, 'key sets are never changed'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER key_set_kept BEFORE DELETE ON key_set
BEGIN SELECT RAISE(ABORT, 'key sets are kept'); END;
-- +goose StatementEnd

-- +goose Down
SELECT 1;
