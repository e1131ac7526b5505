-- +goose Up
CREATE TABLE tenant (
  id         TEXT PRIMARY KEY,
  name       TEXT NOT NULL UNIQUE,
  ordinal    BIGINT NOT NULL UNIQUE,
  created_at BIGINT NOT NULL,
  version    BIGINT NOT NULL
);
CREATE TABLE vdc (
  id         TEXT PRIMARY KEY,
  tenant_id  TEXT NOT NULL REFERENCES tenant (id),
  name       TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  version    BIGINT NOT NULL,
  UNIQUE (tenant_id, name),
  UNIQUE (id, tenant_id)
);
-- An empty from_state marks the states that a life can begin in.
CREATE TABLE lifecycle_move (
  from_state TEXT NOT NULL,
  to_state   TEXT NOT NULL,
  PRIMARY KEY (from_state, to_state)
);
CREATE TABLE vm (
  id         TEXT PRIMARY KEY,
  tenant_id  TEXT NOT NULL,
  vdc_id     TEXT NOT NULL,
  name       TEXT NOT NULL,
  state      TEXT NOT NULL,
  declared   TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  version    BIGINT NOT NULL,
  UNIQUE (tenant_id, name),
  FOREIGN KEY (vdc_id, tenant_id) REFERENCES vdc (id, tenant_id)
);
CREATE TABLE contact (
  id          TEXT PRIMARY KEY,
  tenant_id   TEXT NOT NULL REFERENCES tenant (id),
  role        TEXT NOT NULL,
  sealed      BYTEA NOT NULL, -- name, mail, telephone under the tenant's key
  verified_at BIGINT,
  created_at  BIGINT NOT NULL,
  version     BIGINT NOT NULL
);
CREATE INDEX contact_tenant ON contact (tenant_id);
CREATE TABLE tenant_key (
  tenant_id TEXT PRIMARY KEY REFERENCES tenant (id),
  wrapped   BYTEA NOT NULL
);
CREATE TABLE subscription (
  id         TEXT PRIMARY KEY,
  tenant_id  TEXT NOT NULL REFERENCES tenant (id),
  service    TEXT NOT NULL,
  covers     TEXT NOT NULL CHECK (covers IN ('all', 'vdc', 'vm')),
  covers_id  TEXT NOT NULL,
  from_at    BIGINT NOT NULL,
  to_at      BIGINT CHECK (to_at IS NULL OR to_at >= from_at),
  created_at BIGINT NOT NULL,
  version    BIGINT NOT NULL
);
CREATE INDEX subscription_tenant ON subscription (tenant_id);

CREATE TABLE agent (
  id             TEXT PRIMARY KEY,
  tenant_id      TEXT NOT NULL REFERENCES tenant (id),
  vm_id          TEXT NOT NULL REFERENCES vm (id),
  public_key     TEXT NOT NULL UNIQUE, -- NKey of kind user
  enrolled_at    BIGINT NOT NULL,
  revoked_at     BIGINT,
  seen_at        BIGINT,
  skew_us        BIGINT NOT NULL DEFAULT 0, -- server clock minus agent clock
  epoch          TEXT NOT NULL DEFAULT '',  -- the agent's spool
  sequence       BIGINT NOT NULL DEFAULT 0, -- last record accepted of the epoch
  software       TEXT NOT NULL DEFAULT ''
);
CREATE INDEX agent_vm ON agent (vm_id);
CREATE INDEX agent_tenant ON agent (tenant_id);
CREATE TABLE enrolment_token (
  id          TEXT PRIMARY KEY,
  tenant_id   TEXT NOT NULL REFERENCES tenant (id),
  vdc_id      TEXT NOT NULL REFERENCES vdc (id),
  vm_name     TEXT NOT NULL, -- empty: the machine's own name
  secret_hash TEXT NOT NULL,
  created_at  BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL,
  used_at     BIGINT,
  agent_id    TEXT
);

-- +goose Down
SELECT 1;
