-- +goose Up
CREATE TABLE principal (
  id          TEXT PRIMARY KEY,
  name        TEXT NOT NULL,
  role        TEXT NOT NULL,
  tenant_id   TEXT NOT NULL, -- empty for the provider's
  secret_hash TEXT NOT NULL,
  created_at  BIGINT NOT NULL,
  expires_at  BIGINT,
  revoked_at  BIGINT
);
CREATE TABLE session (
  id_hash      TEXT PRIMARY KEY,
  principal_id TEXT NOT NULL REFERENCES principal (id),
  created_at   BIGINT NOT NULL,
  expires_at   BIGINT NOT NULL
);
CREATE TABLE idempotency (
  principal_id TEXT NOT NULL,
  key          TEXT NOT NULL,
  request      TEXT NOT NULL, -- digest of method, path and body
  status       BIGINT NOT NULL,
  response     BYTEA NOT NULL,
  created_at   BIGINT NOT NULL,
  PRIMARY KEY (principal_id, key)
);
CREATE TABLE setting (
  name  TEXT PRIMARY KEY,
  value BYTEA NOT NULL -- sealed where it is a secret
);

-- +goose Down
SELECT 1;
