// Old journals must open for ever: tests/journals has one for every format version.
import { existsSync, mkdtempSync, readdirSync, copyFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { formats, newest } from '../../journal/migrations/formats.ts';
import { openJournal } from '../../journal/store.ts';
import { header, readAll, writeSample } from './sample.ts';

const golden = (version: number): string => fileURLToPath(new URL(`../journals/version-${version}.journal`, import.meta.url));

if (process.env['UPDATE_GOLDEN']) {
  const folder = mkdtempSync(join(tmpdir(), 'retrovisor-')), path = join(folder, 'new.journal');
  writeSample(path, 2);
  copyFileSync(path, golden(newest.version));
  rmSync(folder, { recursive: true });
}

test('every format version has a golden journal', () => {
  expect(readdirSync(fileURLToPath(new URL('../journals', import.meta.url))).filter((name) => name.endsWith('.journal')).sort())
    .toEqual(formats.map(({ version }) => `version-${version}.journal`).sort());
});

for (const { version } of formats) {
  test(`a journal of format version ${version} opens with its content`, () => {
    expect(existsSync(golden(version))).toBe(true);
    const journal = openJournal(golden(version));
    expect([journal.format, journal.complete, journal.header]).toEqual([version, true, header]);
    expect(journal.length).toBeGreaterThan(40);
    // The last digest stands for everything before it.
    expect(journal.digest(journal.length - 1)).toMatchSnapshot();
    journal.close();
    expect(readAll(golden(version)).map(({ seq, at, event }) => `${seq} ${at.icount} ${event.kind}`)).toMatchSnapshot();
  });
}
