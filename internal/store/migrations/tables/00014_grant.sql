-- +goose Up
-- An empty from_state marks the states that a grant can begin in.
CREATE TABLE grant_move (
  from_state TEXT NOT NULL,
  to_state   TEXT NOT NULL,
  PRIMARY KEY (from_state, to_state)
);
CREATE TABLE access_grant (
  id           TEXT PRIMARY KEY,
  tenant_id    TEXT NOT NULL REFERENCES tenant (id),
  holder_id    TEXT NOT NULL,
  ticket       TEXT NOT NULL, -- empty only where glass was broken
  purpose      TEXT NOT NULL,
  scope        TEXT NOT NULL, -- what was asked for
  duration_us  BIGINT NOT NULL CHECK (duration_us > 0 AND duration_us <= 43200000000),
  wanted_at    BIGINT NOT NULL, -- 0: as soon as it is approved
  extends_id   TEXT NOT NULL,   -- the grant that it continues, or empty
  break_glass  BIGINT NOT NULL CHECK (break_glass IN (0, 1)),
  state        TEXT NOT NULL,
  requested_at BIGINT NOT NULL,
  lapses_at    BIGINT NOT NULL,
  granted      TEXT NOT NULL, -- what was granted; empty until then, as the next four
  from_at      BIGINT NOT NULL,
  until_at     BIGINT NOT NULL,
  approved_by  TEXT NOT NULL,
  decision_id  TEXT NOT NULL,
  ended_at     BIGINT NOT NULL,
  notice_due   BIGINT NOT NULL, -- 0 where no notice is owed
  notice_at    BIGINT NOT NULL,
  notice       TEXT NOT NULL CHECK (notice IN ('', 'owed', 'overdue', 'given', 'acknowledged', 'disputed')),
  due_at       BIGINT, -- when time alone changes it
  version      BIGINT NOT NULL,
  changed      BIGINT NOT NULL, -- of grant_changes
  CHECK (break_glass = 0 OR (duration_us <= 3600000000 AND notice <> '')),
  CHECK (break_glass = 1 OR ticket <> ''),
  CHECK (state NOT IN ('approved', 'active', 'expired', 'revoked') OR
         (from_at > 0 AND until_at > from_at AND until_at - from_at <= duration_us AND (break_glass = 1 OR decision_id <> '')))
);
CREATE INDEX access_grant_tenant ON access_grant (tenant_id, state);
CREATE INDEX access_grant_state ON access_grant (state);
CREATE INDEX access_grant_due ON access_grant (due_at);
CREATE INDEX access_grant_changed ON access_grant (changed);
-- What happened to a grant; event N made its version N.
CREATE TABLE grant_event (
  grant_id   TEXT NOT NULL REFERENCES access_grant (id),
  number     BIGINT NOT NULL,
  at         BIGINT NOT NULL,
  actor      TEXT NOT NULL,
  what       TEXT NOT NULL,
  from_state TEXT NOT NULL,
  to_state   TEXT NOT NULL,
  words      TEXT NOT NULL,
  decision_id TEXT NOT NULL,
  PRIMARY KEY (grant_id, number)
);
-- One row: how many changes there were, so that every server finds what
-- another one changed.
CREATE TABLE grant_changes (
  id      BIGINT PRIMARY KEY CHECK (id = 1),
  changes BIGINT NOT NULL
);
INSERT INTO grant_changes (id, changes) VALUES (1, 0);

-- +goose Down
SELECT 1;
