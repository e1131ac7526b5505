-- +goose Up
-- One row for each regular review: the timer that opens the next one, and how
-- far the last one came.
CREATE TABLE review_plan (
  tenant_id  TEXT NOT NULL, -- empty for the provider
  kind       TEXT NOT NULL CHECK (kind IN ('logs', 'network')),
  every_days BIGINT NOT NULL CHECK (every_days > 0),
  since      BIGINT NOT NULL,
  opens_at   BIGINT,                    -- null while a review is open
  signed_at  BIGINT,
  review_id  TEXT NOT NULL DEFAULT '',  -- signed last
  sequence   BIGINT NOT NULL DEFAULT 0, -- of the tenant's ledger entries, the last that was reviewed
  known      TEXT NOT NULL DEFAULT '[]', -- JSON, actors that former reviews saw
  PRIMARY KEY (tenant_id, kind)
);
CREATE INDEX review_plan_opens ON review_plan (opens_at);
CREATE TABLE review (
  id             TEXT PRIMARY KEY,
  tenant_id      TEXT NOT NULL,
  kind           TEXT NOT NULL,
  opened_at      BIGINT NOT NULL,
  due_at         BIGINT NOT NULL,
  after_sequence BIGINT NOT NULL, -- it begins behind this entry of the tenant
  through        BIGINT NOT NULL DEFAULT 0, -- and was signed off through this one
  signed_at      BIGINT,
  signed_by      TEXT NOT NULL DEFAULT '',
  outcome        TEXT NOT NULL DEFAULT '' CHECK (outcome IN ('', 'fine', 'follow-up')),
  notes          TEXT NOT NULL DEFAULT '',
  looked_at      TEXT NOT NULL DEFAULT '[]' -- JSON
);
CREATE UNIQUE INDEX review_open ON review (tenant_id, kind) WHERE signed_at IS NULL;
CREATE INDEX review_tenant ON review (tenant_id, id);
-- What a VM's network configuration is, in lines, and what it was at the review.
CREATE TABLE review_network (
  vm_id           TEXT PRIMARY KEY REFERENCES vm (id),
  tenant_id       TEXT NOT NULL,
  present         TEXT NOT NULL, -- JSON
  present_digest  TEXT NOT NULL,
  reviewed        TEXT NOT NULL, -- JSON
  reviewed_digest TEXT NOT NULL,
  changes         BIGINT NOT NULL, -- lines that differ
  observed_at     BIGINT NOT NULL,
  reviewed_at     BIGINT
);
CREATE INDEX review_network_tenant ON review_network (tenant_id, changes);

-- Identities of provider people that must not be seen in a customer's guest.
CREATE TABLE provider_identity (
  id         TEXT PRIMARY KEY,
  kind       TEXT NOT NULL CHECK (kind IN ('account', 'fingerprint', 'address')),
  value      TEXT NOT NULL,
  holder     TEXT NOT NULL, -- principal; empty if it belongs to no one person
  added_at   BIGINT NOT NULL,
  added_by   TEXT NOT NULL,
  until      BIGINT, -- counts until then
  removed_at BIGINT
);
CREATE UNIQUE INDEX provider_identity_value ON provider_identity (kind, value) WHERE removed_at IS NULL;
CREATE TABLE incident (
  id         TEXT PRIMARY KEY,
  tenant_id  TEXT NOT NULL REFERENCES tenant (id),
  kind       TEXT NOT NULL CHECK (kind IN ('guest-login')),
  vm_id      TEXT NOT NULL REFERENCES vm (id),
  occurrence TEXT NOT NULL, -- digest of what happened; it opens one incident
  happened_at BIGINT NOT NULL,
  opened_at  BIGINT NOT NULL,
  words      TEXT NOT NULL,
  evidence   TEXT NOT NULL, -- JSON, digests by name
  closed_at  BIGINT,
  closed_by  TEXT NOT NULL DEFAULT '',
  note       TEXT NOT NULL DEFAULT '',
  UNIQUE (vm_id, kind, occurrence)
);
CREATE INDEX incident_tenant ON incident (tenant_id, id);

-- When a principal last did what; kept up from the ledger.
CREATE TABLE actor_use (
  tenant_id TEXT NOT NULL, -- whose matter it was; empty for the provider's
  actor     TEXT NOT NULL,
  action    TEXT NOT NULL,
  last_at   BIGINT NOT NULL,
  uses      BIGINT NOT NULL,
  PRIMARY KEY (actor, tenant_id, action)
);
CREATE INDEX actor_use_tenant ON actor_use (tenant_id);

-- +goose Down
SELECT 1;
