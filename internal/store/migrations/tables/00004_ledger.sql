-- +goose Up
-- An entry's leaf is the RFC 6962 leaf hash of SHA-256(salt || canonical JSON),
-- and the JSON is made of these columns alone, so that no change of one goes unseen.
CREATE TABLE ledger_entry (
  idx      INTEGER PRIMARY KEY, -- position in the tree, from 0; in SQLite the row's own number
  time     BIGINT NOT NULL,
  tenant   TEXT NOT NULL,       -- empty for the provider
  sequence BIGINT NOT NULL,     -- counts the tenant's entries from 1
  actor    TEXT NOT NULL,
  action   TEXT NOT NULL,
  subject  TEXT NOT NULL,
  digests  TEXT NOT NULL,       -- canonical JSON object
  salt     BYTEA NOT NULL,
  leaf     BYTEA NOT NULL,
  UNIQUE (tenant, sequence)
);
-- There is no other index: each makes every act write another page. A page of a
-- search by action, subject or time reads a bounded number of entries instead.
-- C2SP tlog-tiles: up to 256 hashes of 32 bytes. Level 0 has full tiles only;
-- its partial tile is read from the leaves of ledger_entry.
CREATE TABLE ledger_tile (
  level  BIGINT NOT NULL,
  idx    BIGINT NOT NULL,
  hashes BYTEA NOT NULL,
  PRIMARY KEY (level, idx)
);
-- The one row that appending locks: the number of entries and the roots of the
-- complete subtrees that make up the tree, largest first.
CREATE TABLE ledger_head (
  id       BIGINT PRIMARY KEY CHECK (id = 1),
  size     BIGINT NOT NULL,
  frontier BYTEA NOT NULL
);
INSERT INTO ledger_head (id, size, frontier) VALUES (1, 0, '');
CREATE TABLE ledger_checkpoint (
  size BIGINT PRIMARY KEY,
  note TEXT NOT NULL -- C2SP tlog-checkpoint with the ledger's own signatures
);
CREATE TABLE ledger_cosignature (
  size BIGINT NOT NULL REFERENCES ledger_checkpoint (size),
  vkey TEXT NOT NULL, -- the witness
  line TEXT NOT NULL, -- signature line of C2SP signed-note
  PRIMARY KEY (size, vkey)
);
-- The key with the greatest from_size signs. The entry at from_size - 1 tells of it.
CREATE TABLE ledger_key (
  from_size BIGINT PRIMARY KEY CHECK (from_size > 0),
  vkey      TEXT NOT NULL UNIQUE,
  sealed    BYTEA NOT NULL -- the private key; empty once another has followed
);

-- +goose Down
SELECT 1;
