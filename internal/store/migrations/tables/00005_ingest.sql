-- +goose Up
-- What ingest knows of an agent besides the agent's own row. Its own table,
-- because the agent's row changes for other reasons too.
CREATE TABLE agent_ingest (
  agent_id   TEXT PRIMARY KEY REFERENCES agent (id),
  offset_us  BIGINT NOT NULL, -- estimate of server clock minus agent clock
  lost       BIGINT NOT NULL,
  rejected   BIGINT NOT NULL,
  rejections TEXT NOT NULL,   -- JSON, the last few with their reasons
  former     TEXT NOT NULL    -- JSON, epochs that are over and where they ended
);

-- +goose Down
SELECT 1;
