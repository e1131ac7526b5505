-- +goose Up
-- A version of the keys that a tenant's decisions are signed with. The greatest counts.
CREATE TABLE key_set (
  tenant_id   TEXT NOT NULL REFERENCES tenant (id),
  version     BIGINT NOT NULL CHECK (version > 0),
  body        TEXT NOT NULL, -- canonical JSON
  digest      TEXT NOT NULL,
  decision_id TEXT NOT NULL, -- the key-change that made it; empty for the first
  created_at  BIGINT NOT NULL,
  made_by     TEXT NOT NULL,
  PRIMARY KEY (tenant_id, version)
);
CREATE TABLE decision (
  id          TEXT PRIMARY KEY,
  tenant_id   TEXT NOT NULL REFERENCES tenant (id),
  kind        TEXT NOT NULL,
  subject     TEXT NOT NULL,
  version     BIGINT NOT NULL,
  body        TEXT NOT NULL, -- canonical JSON: what is signed
  digest      TEXT NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('pending', 'signed', 'withdrawn', 'expired')),
  issued_at   BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL CHECK (expires_at > issued_at),
  proposed_by TEXT NOT NULL, -- ROLE/ID
  decided_at  BIGINT
);
CREATE INDEX decision_tenant ON decision (tenant_id, state);
CREATE INDEX decision_subject ON decision (subject, kind);
CREATE INDEX decision_open ON decision (state, expires_at);
CREATE TABLE decision_signature (
  decision_id        TEXT NOT NULL REFERENCES decision (id),
  key_id             TEXT NOT NULL,
  algorithm          TEXT NOT NULL,
  signature          BYTEA NOT NULL,
  authenticator_data BYTEA NOT NULL,
  client_data        BYTEA NOT NULL,
  given_at           BIGINT NOT NULL,
  given_by           TEXT NOT NULL, -- ROLE/ID
  PRIMARY KEY (decision_id, key_id)
);
-- The signed decision behind a policy in force; empty for those set before
-- decisions were signed, which agents do not obey.
ALTER TABLE policy ADD COLUMN decision_id TEXT NOT NULL DEFAULT '';
ALTER TABLE policy ADD COLUMN until_at BIGINT; -- it counts until then; NULL is until the next

-- +goose Down
SELECT 1;
