// Format version 1, the schema as it is written to a file. The reader compares a file's schema with these texts letter by letter, so a
// released version is never edited: a change is a new version, and the old one stays here with its way up.
import type { Format } from './formats.ts';

const tables = [
  `CREATE TABLE header (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  format INTEGER NOT NULL,
  oldest_reader INTEGER NOT NULL,
  engine TEXT NOT NULL,
  model TEXT NOT NULL,
  behaviours TEXT NOT NULL,
  seed TEXT NOT NULL,
  ram_bytes INTEGER NOT NULL,
  cpu_count INTEGER NOT NULL,
  quantum INTEGER NOT NULL,
  tsc_khz INTEGER NOT NULL,
  checkpoint_interval INTEGER NOT NULL,
  images TEXT NOT NULL,
  command_line TEXT NOT NULL,
  created TEXT NOT NULL,
  parent TEXT,
  ok INTEGER NOT NULL
) STRICT`,
  `CREATE TABLE event (
  seq INTEGER PRIMARY KEY,
  vcpu INTEGER,
  icount INTEGER NOT NULL,
  level INTEGER NOT NULL,
  smm INTEGER NOT NULL,
  class TEXT NOT NULL,
  kind TEXT NOT NULL,
  payload BLOB NOT NULL,
  digest BLOB NOT NULL
) STRICT`,
  `CREATE TABLE page (
  hash BLOB PRIMARY KEY,
  bytes BLOB NOT NULL
) STRICT`,
  `CREATE TABLE snapshot (
  number INTEGER PRIMARY KEY,
  seq INTEGER NOT NULL,
  icount INTEGER NOT NULL,
  base INTEGER,
  record BLOB NOT NULL,
  pages BLOB NOT NULL
) STRICT`,
  `CREATE TABLE footprint (
  capability TEXT PRIMARY KEY,
  answer TEXT NOT NULL,
  first_seq INTEGER NOT NULL,
  first_icount INTEGER NOT NULL
) STRICT`,
  `CREATE TABLE bookmark (
  name TEXT PRIMARY KEY,
  seq INTEGER NOT NULL,
  icount INTEGER NOT NULL,
  note TEXT NOT NULL
) STRICT`,
];

const refuse = (table: string, action: string): string =>
  `CREATE TRIGGER ${table}_no_${action.toLowerCase()} BEFORE ${action} ON ${table} BEGIN SELECT RAISE(ABORT, 'a journal is append-only'); END`;

const triggers = [
  ...['event', 'page', 'snapshot', 'footprint'].flatMap((table) => [refuse(table, 'UPDATE'), refuse(table, 'DELETE')]),
  refuse('header', 'DELETE'),
  `CREATE TRIGGER header_no_update BEFORE UPDATE ON header
WHEN NEW.ok IS NOT 1 OR OLD.only_row IS NOT NEW.only_row OR OLD.format IS NOT NEW.format OR OLD.oldest_reader IS NOT NEW.oldest_reader
  OR OLD.engine IS NOT NEW.engine OR OLD.model IS NOT NEW.model OR OLD.behaviours IS NOT NEW.behaviours OR OLD.seed IS NOT NEW.seed
  OR OLD.ram_bytes IS NOT NEW.ram_bytes OR OLD.cpu_count IS NOT NEW.cpu_count OR OLD.quantum IS NOT NEW.quantum
  OR OLD.tsc_khz IS NOT NEW.tsc_khz OR OLD.checkpoint_interval IS NOT NEW.checkpoint_interval OR OLD.images IS NOT NEW.images
  OR OLD.command_line IS NOT NEW.command_line OR OLD.created IS NOT NEW.created OR OLD.parent IS NOT NEW.parent
BEGIN SELECT RAISE(ABORT, 'a journal is append-only'); END`,
];

const views = [
  `CREATE VIEW events AS
SELECT seq, vcpu, icount, 'L' || level AS level, smm, class, kind, length(payload) AS payload_bytes, lower(hex(digest)) AS digest FROM event`,
  `CREATE VIEW inputs AS
SELECT seq, vcpu, icount, level, smm, kind, payload_bytes, digest FROM events WHERE class = 'input'`,
  `CREATE VIEW transitions AS
SELECT seq, vcpu, icount, level, smm, kind, payload_bytes, digest FROM events WHERE class = 'transition'`,
  `CREATE VIEW kinds AS
SELECT kind, class, count(*) AS count, min(seq) AS first_seq, max(seq) AS last_seq, sum(length(payload)) AS payload_bytes FROM event GROUP BY kind, class`,
  `CREATE VIEW snapshots AS
SELECT number, seq, icount, base, length(record) AS record_bytes, length(pages) / 20 AS page_count FROM snapshot`,
  `CREATE VIEW summary AS
SELECT format, engine, model, command_line, created, ok,
  (SELECT count(*) FROM event) AS event_count, (SELECT max(icount) FROM event) AS instructions,
  (SELECT count(*) FROM snapshot) AS snapshot_count, (SELECT count(*) FROM page) AS page_count FROM header`,
];

export const version1: Format = { version: 1, oldestReader: 1, schema: [...tables, ...triggers, ...views] };
