// `retro info` and `retro events` on a small journal, run from the source as a user would run them.
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { inProject } from '../../tools/project.ts';
import { temporaryFolder, writeSample } from '../journal/sample.ts';
import { retro } from './retro.ts';

const journal = join(temporaryFolder(), 'sample.journal');

beforeAll(() => writeSample(journal));

describe('retro', () => {
  test('info shows the machine and counts the events', () => {
    const { stdout, status } = retro('info', journal);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^CPU +EPYC-Milan, 2 vCPUs in turns of 1,000 instructions/m);
    expect(stdout).toMatch(/^behaviours +nsvm\.vmrun-failure-gif=kept$/m);
    expect(stdout).toMatch(/^SnapshotTaken +1$/m);
  });

  test('info --json is data', () => {
    const summary = JSON.parse(retro('info', journal, '--json').stdout) as { header: { seed: string }; kinds: Record<string, number>; footprint: unknown[] };
    expect(summary.header.seed).toBe(String(0xfedcba9876543210n));
    expect(summary.kinds['SerialInput']).toBe(1);
    expect(summary.footprint.length).toBeGreaterThan(0);
  });

  test('events are chosen by kind, place and number', () => {
    const { stdout } = retro('events', journal, '--kind', 'input');
    expect(stdout.split('\n').slice(2, 5).map((line) => line.trim().split(/\s+/)[4])).toEqual(['SerialInput', 'NonMaskableInterrupt', 'ExternalInterrupt']);
    const rows = retro('events', journal, '--from', '2', '--limit', '2', '--json').stdout.trim().split('\n').map((line) => JSON.parse(line) as { seq: number });
    expect(rows.map(({ seq }) => seq)).toEqual([2, 3]);
  });

  test.each([
    [['events', journal, '--kind', 'Nonsense'], 2, /^retro: There is no event “Nonsense”\./],
    [['info', `${journal}.none`], 3, /^retro: .*cannot be opened\. Check the path/],
    [['info', inProject('package.json')], 3, /^retro: .*is not a journal\./],
    [['infos', journal], 2, /^retro: retro has no command "infos"\./],
  ])('%j ends with %i and one sentence', (words, code, sentence) => {
    const { stderr, status } = retro(...words);
    expect(status).toBe(code);
    expect(stderr).toMatch(sentence);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });

  test('help is there without and with a command', () => {
    expect(retro().stdout).toContain('retro record');
    expect(retro('events', '--help').stdout).toContain('--kind');
  });
});
