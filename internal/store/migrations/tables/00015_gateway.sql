-- +goose Up
-- What sessions of the provider's people can reach. Rows are kept: recordings
-- refer to them.
CREATE TABLE target (
  id         TEXT PRIMARY KEY,
  name       TEXT NOT NULL,
  kind       TEXT NOT NULL CHECK (kind IN ('host', 'web')),
  address    TEXT NOT NULL, -- HOST:PORT of a host, URL of a web console
  login      TEXT NOT NULL, -- account on a host; empty for a web console
  trust      TEXT NOT NULL, -- JSON: host keys, host authorities, PEM authorities, pins
  created_at BIGINT NOT NULL,
  removed_at BIGINT
);
CREATE UNIQUE INDEX target_name ON target (name) WHERE removed_at IS NULL;
CREATE TABLE session_recording (
  id         TEXT PRIMARY KEY,
  tenant_id  TEXT NOT NULL REFERENCES tenant (id),
  grant_id   TEXT NOT NULL,
  holder_id  TEXT NOT NULL,
  target_id  TEXT NOT NULL REFERENCES target (id),
  kind       TEXT NOT NULL, -- shell, exec, sftp, forward, web
  server     TEXT NOT NULL, -- which server has the file
  state      TEXT NOT NULL CHECK (state IN ('open', 'complete', 'cut')),
  reason     TEXT NOT NULL, -- why it ended
  started_at BIGINT NOT NULL,
  ended_at   BIGINT,
  opened_idx BIGINT NOT NULL, -- ledger entries of beginning and end
  ended_idx  BIGINT
);
CREATE INDEX session_recording_tenant ON session_recording (tenant_id, id);
CREATE INDEX session_recording_grant ON session_recording (grant_id);
CREATE INDEX session_recording_open ON session_recording (state, server);
-- Each segment's digest is in a ledger entry; here is where to find it.
CREATE TABLE session_segment (
  recording_id TEXT NOT NULL REFERENCES session_recording (id),
  number       BIGINT NOT NULL, -- from 1
  end_offset   BIGINT NOT NULL, -- of the file
  end_us       BIGINT NOT NULL, -- since the session began
  sealed_at    BIGINT NOT NULL,
  chain        TEXT NOT NULL,
  ledger_idx   BIGINT NOT NULL,
  PRIMARY KEY (recording_id, number)
);

-- +goose Down
SELECT 1;
