-- +goose Up
-- Logins on the provider's own hosts, as their agents reported them. An agent
-- tells those of a day; here they stay, to be compared with sessions.
CREATE TABLE host_login (
  vm_id       TEXT NOT NULL REFERENCES vm (id),
  occurrence  TEXT NOT NULL, -- digest of the login
  at          BIGINT NOT NULL,
  account     TEXT NOT NULL,
  source      TEXT NOT NULL,
  method      TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  certificate TEXT NOT NULL, -- key id; empty without a certificate
  authority   TEXT NOT NULL, -- fingerprint of who signed it
  PRIMARY KEY (vm_id, occurrence)
);
CREATE INDEX host_login_at ON host_login (at);

-- +goose Down
SELECT 1;
