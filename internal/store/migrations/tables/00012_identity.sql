-- +goose Up
-- A principal of kind person has its name here and not in principal.
CREATE TABLE person (
  principal_id TEXT PRIMARY KEY REFERENCES principal (id),
  tenant_id    TEXT NOT NULL,         -- empty for the provider's
  handle       TEXT NOT NULL UNIQUE,  -- WebAuthn user handle, base64url
  sealed       BYTEA NOT NULL,        -- name and mail, under the key of the person's side
  created_at   BIGINT NOT NULL
);
CREATE TABLE authenticator (
  id           TEXT PRIMARY KEY,
  principal_id TEXT NOT NULL REFERENCES principal (id),
  kind         TEXT NOT NULL CHECK (kind IN ('passkey', 'password', 'totp', 'oidc')),
  lookup       TEXT NOT NULL,   -- what it is found by: credential id, keyed digest of the sign-in name, and so on
  sealed       BYTEA NOT NULL,  -- secret or public key, and the label, under the master key
  counter      BIGINT NOT NULL, -- passkey: signature counter; totp: the last time step that counted
  created_at   BIGINT NOT NULL,
  used_at      BIGINT,
  UNIQUE (kind, lookup)
);
CREATE INDEX authenticator_principal ON authenticator (principal_id);
CREATE TABLE recovery_code (
  principal_id TEXT NOT NULL REFERENCES principal (id),
  code_hash    TEXT NOT NULL,
  expires_at   BIGINT NOT NULL,
  used_at      BIGINT,
  PRIMARY KEY (principal_id, code_hash)
);
-- Sessions of the former kind end: they do not say how they were begun.
DROP TABLE session;
CREATE TABLE session (
  id               TEXT PRIMARY KEY,            -- names it in lists; the cookie holds the secret
  principal_id     TEXT NOT NULL REFERENCES principal (id),
  secret_hash      TEXT NOT NULL UNIQUE,
  former_hash      TEXT NOT NULL DEFAULT '',    -- the secret before the last rotation
  former_until     BIGINT NOT NULL DEFAULT 0,   -- 0: until the present secret is first used
  mfa              BIGINT NOT NULL CHECK (mfa IN (0, 1)),
  method           TEXT NOT NULL,
  client           TEXT NOT NULL,               -- kind of browser
  created_at       BIGINT NOT NULL,
  authenticated_at BIGINT NOT NULL,
  seen_at          BIGINT NOT NULL,
  rotated_at       BIGINT NOT NULL,
  expires_at       BIGINT NOT NULL
);
CREATE INDEX session_principal ON session (principal_id);
CREATE INDEX session_former ON session (former_hash);
CREATE TABLE invitation (
  id          TEXT PRIMARY KEY,
  tenant_id   TEXT NOT NULL,
  role        TEXT NOT NULL,
  first_owner BIGINT NOT NULL CHECK (first_owner IN (0, 1)), -- counts only while the tenant has no owner
  secret_hash TEXT NOT NULL UNIQUE,
  sealed      BYTEA NOT NULL, -- name and mail
  made_by     TEXT NOT NULL,
  created_at  BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL,
  used_at     BIGINT,
  used_by     TEXT NOT NULL DEFAULT '',
  revoked_at  BIGINT,
  CHECK (used_at IS NULL OR revoked_at IS NULL)
);
CREATE INDEX invitation_tenant ON invitation (tenant_id);
CREATE TABLE api_token (
  id               TEXT PRIMARY KEY,
  principal_id     TEXT NOT NULL REFERENCES principal (id),
  name             TEXT NOT NULL,
  secret_hash      TEXT NOT NULL,
  scope            TEXT, -- actions with a space between; NULL is all of the role
  mfa              BIGINT NOT NULL CHECK (mfa IN (0, 1)),
  authenticated_at BIGINT NOT NULL,
  created_at       BIGINT NOT NULL,
  expires_at       BIGINT NOT NULL,
  used_at          BIGINT,
  revoked_at       BIGINT
);
CREATE INDEX api_token_principal ON api_token (principal_id);
-- What has begun and not ended: a challenge, a sign-in without its second
-- factor, a journey to an identity provider. Each is good once.
CREATE TABLE ceremony (
  secret_hash TEXT PRIMARY KEY,
  kind        TEXT NOT NULL,
  sealed      BYTEA NOT NULL,
  expires_at  BIGINT NOT NULL
);
CREATE INDEX ceremony_expires ON ceremony (expires_at);
CREATE TABLE device_login (
  secret_hash TEXT PRIMARY KEY,
  user_code   TEXT NOT NULL UNIQUE,
  client      TEXT NOT NULL,
  token_name  TEXT NOT NULL,
  token_scope TEXT,            -- as in api_token
  token_life  BIGINT NOT NULL, -- microseconds
  created_at  BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('pending', 'confirmed', 'refused')),
  principal_id TEXT NOT NULL DEFAULT '',
  mfa         BIGINT NOT NULL DEFAULT 0,
  authenticated_at BIGINT NOT NULL DEFAULT 0
);
-- Failed sign-ins, by a keyed digest of what failed.
CREATE TABLE attempt (
  who      TEXT PRIMARY KEY,
  failures BIGINT NOT NULL,
  last_at  BIGINT NOT NULL
);
CREATE TABLE identity_provider (
  id         TEXT PRIMARY KEY,
  tenant_id  TEXT NOT NULL, -- empty for the provider's
  name       TEXT NOT NULL,
  issuer     TEXT NOT NULL,
  client_id  TEXT NOT NULL,
  sealed     BYTEA NOT NULL, -- client secret, under the master key
  mfa        TEXT NOT NULL,  -- values of amr or acr that stand for a second factor, with a space between
  created_at BIGINT NOT NULL,
  UNIQUE (tenant_id, issuer, client_id)
);

-- +goose Down
SELECT 1;
