-- +goose Up
CREATE TABLE fact (
  scope       TEXT NOT NULL,
  subject_id  TEXT NOT NULL,
  kind        TEXT NOT NULL,
  tenant_id   TEXT NOT NULL, -- empty for the provider
  data        TEXT NOT NULL,
  digest      TEXT NOT NULL,
  observed_at BIGINT NOT NULL,
  changed_at  BIGINT NOT NULL,
  source      TEXT NOT NULL,
  again_at    BIGINT, -- when it must be derived again without any input changing
  PRIMARY KEY (scope, subject_id, kind)
);
CREATE TABLE verdict (
  scope        TEXT NOT NULL,
  subject_id   TEXT NOT NULL,
  duty         TEXT NOT NULL,
  tenant_id    TEXT NOT NULL,
  control      TEXT NOT NULL,
  party        TEXT NOT NULL CHECK (party IN ('customer', 'provider')),
  verdict      TEXT NOT NULL CHECK (verdict IN ('met', 'not-met', 'unknown', 'not-applicable', 'waived')),
  reason       TEXT NOT NULL,
  since        BIGINT NOT NULL,
  evaluated_at BIGINT NOT NULL,
  due_at       BIGINT, -- when it must be judged again without any fact changing
  evidence     TEXT NOT NULL,
  PRIMARY KEY (scope, subject_id, duty)
);
CREATE INDEX verdict_due ON verdict (due_at);
CREATE INDEX verdict_tenant ON verdict (tenant_id, verdict);
CREATE TABLE verdict_history (
  scope      TEXT NOT NULL,
  subject_id TEXT NOT NULL,
  duty       TEXT NOT NULL,
  from_at    BIGINT NOT NULL,
  to_at      BIGINT NOT NULL,
  tenant_id  TEXT NOT NULL,
  party      TEXT NOT NULL,
  verdict    TEXT NOT NULL,
  reason     TEXT NOT NULL,
  evidence   TEXT NOT NULL,
  PRIMARY KEY (scope, subject_id, duty, from_at, to_at)
);
CREATE TABLE attestation (
  id           TEXT PRIMARY KEY,
  tenant_id    TEXT NOT NULL,
  scope        TEXT NOT NULL,
  subject_id   TEXT NOT NULL,
  duty         TEXT NOT NULL,
  made_by      TEXT NOT NULL,
  statement    TEXT NOT NULL,
  attachments  TEXT NOT NULL,
  created_at   BIGINT NOT NULL,
  effective_at BIGINT NOT NULL,
  expires_at   BIGINT NOT NULL CHECK (expires_at > effective_at),
  withdrawn_at BIGINT
);
CREATE INDEX attestation_subject ON attestation (scope, subject_id);
CREATE TABLE waiver (
  id           TEXT PRIMARY KEY,
  tenant_id    TEXT NOT NULL,
  scope        TEXT NOT NULL,
  subject_id   TEXT NOT NULL,
  duty         TEXT NOT NULL,
  accepted_by  TEXT NOT NULL,
  reason       TEXT NOT NULL,
  created_at   BIGINT NOT NULL,
  effective_at BIGINT NOT NULL,
  expires_at   BIGINT NOT NULL CHECK (expires_at > effective_at),
  withdrawn_at BIGINT
);
CREATE INDEX waiver_subject ON waiver (scope, subject_id);
CREATE TABLE policy (
  scope      TEXT NOT NULL,
  subject_id TEXT NOT NULL,
  service    TEXT NOT NULL,
  version    BIGINT NOT NULL,
  tenant_id  TEXT NOT NULL,
  document   TEXT NOT NULL, -- canonical JSON
  digest     TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  made_by    TEXT NOT NULL,
  PRIMARY KEY (scope, subject_id, service, version)
);
CREATE TABLE catalogue (
  name       TEXT NOT NULL,
  version    TEXT NOT NULL,
  source     TEXT NOT NULL,
  digest     TEXT NOT NULL,
  from_at    BIGINT NOT NULL, -- in force from then until the next of its name
  PRIMARY KEY (name, version)
);

-- +goose Down
SELECT 1;
