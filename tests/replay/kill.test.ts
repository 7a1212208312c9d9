// A recorder that is killed at any moment loses nothing that it had committed, and leaves a journal that opens and replays up to there.
// `KILLS=200` kills more often, `IMAGE=path` and `COMMANDLINE=…` record a real guest.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { openJournal } from '../../journal/store.ts';
import { createKvm } from '../../src/kvm/system.ts';
import { temporaryFolder } from '../journal/sample.ts';
import { fakeKvm } from './fake.ts';
import { verdictOf } from './recording.ts';

const kills = Number(process.env['KILLS'] ?? 10), image = process.env['IMAGE'], commandLine = process.env['COMMANDLINE'] ?? 'guest';
const victim = fileURLToPath(new URL('victim.ts', import.meta.url));

/** Starts a recorder, kills it some milliseconds after its first word, and gives its last one. */
function killed(path: string, afterMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--import', 'tsx', victim, path, ...image === undefined ? [] : [image, commandLine]], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      if (output === '') setTimeout(() => child.kill('SIGKILL'), afterMs);
      output += chunk.toString();
    });
    child.on('error', reject);
    child.on('close', () => resolve(output.slice(0, output.lastIndexOf('\n')).split('\n').at(-1)!));
  });
}

test(`${kills} recorders are killed`, { timeout: 30_000 + kills * 20_000 }, async () => {
  const folder = temporaryFolder();
  let cuts = 0;
  for (let index = 0; index < kills; index++) {
    const path = join(folder, `${index}.journal`), afterMs = (index * 137) % 400;
    const last = await killed(path, afterMs);
    expect(existsSync(path)).toBe(true);
    const journal = openJournal(path);
    const { length, complete } = journal;
    journal.close();
    if (last !== 'complete') {
      expect(length, `killed after ${afterMs} ms`).toBeGreaterThanOrEqual(Number(last));
      if (!complete) cuts++;
    }
    expect(await verdictOf(image === undefined ? fakeKvm({ transitionEvery: 40 }) : createKvm(), path, 'auto'), `killed after ${afterMs} ms`)
      .toMatchObject({ kind: 'identical', events: length, cut: !complete });
  }
  expect(cuts).toBeGreaterThan(0);
});
