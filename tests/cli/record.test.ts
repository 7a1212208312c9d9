// The story of a run, as a user tells it on the command line: record, look at it, replay, verify; and what is said when it cannot be.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { VERSION } from '../../src/cli/version.ts';
import { inProject } from '../../tools/project.ts';
import { temporaryFolder } from '../journal/sample.ts';
import { retro } from './retro.ts';

const folder = temporaryFolder(), journal = join(folder, 'run.journal');
const image = inProject('tests/programs/bench/out/bench64.elf');
let recorded: ReturnType<typeof retro>;

beforeAll(() => {
  recorded = retro('record', '-o', journal, '--seed', '7', image, 'alu', 'shift=9');
});

describe('a recorded run', () => {
  test('shows what the guest says on standard output, and the run on standard error', () => {
    expect(recorded.status).toBe(0);
    expect(recorded.stdout).toMatch(/^BENCH begin bits=64 shift=9\nalu start\nalu done checksum=[0-9a-f]{8}\nBENCH end\n$/);
    expect(recorded.stderr).toMatch(/^end +the guest exited with status 1$/m);
    expect(recorded.stderr).toMatch(/^digest +[0-9a-f]{16,}$/m);
  });

  test('replays identically, in every tier', () => {
    const replayed = retro('replay', journal, '--tier', 'interpreter');
    expect(replayed.stdout).toBe(recorded.stdout);
    expect(replayed.stderr).toMatch(/^verdict +identical$/m);
    const verified = retro('verify', journal);
    expect(verified.status).toBe(0);
    expect(verified.stdout.match(/identical/g)).toHaveLength(2);
  });

  test('is the same again with the same seed, image and arguments', () => {
    const again = retro('record', '--json', '-o', join(folder, 'again.journal'), '--seed', '7', '--tier', 'interpreter', image, 'alu', 'shift=9');
    const { state, instructions, output } = JSON.parse(again.stdout) as { state: string; instructions: number; output: string };
    expect(output).toBe(recorded.stdout);
    expect(recorded.stderr).toContain(state);
    const without = JSON.parse(retro('record', '--json', '--no-journal', '--seed', '7', image, 'alu', 'shift=9').stdout) as { instructions: number };
    expect(without.instructions).toBe(instructions);
  });

  test('can be entered at any position', () => {
    const { stdout } = retro('replay', journal, '--until', '0:1', '--show', '--memory-at', '0x100000:16,p0x100000:16');
    expect(stdout).toMatch(/^instructions +1$/m);
    expect(stdout).toMatch(/^rax +000000002badb002 /m);
    expect(stdout).toMatch(/^[0-9a-f]{16} {2}fc +cld$/m);
    expect(stdout.match(/02 b0 ad 1b/g)).toHaveLength(2);
    const inspection = JSON.parse(retro('replay', journal, '--until', '0:5000', '--show', '--json').stdout) as { position: string; instructions: number; regs: { rip: string } };
    expect(inspection.instructions).toBe(5000);
    expect(Number(inspection.regs.rip)).toBeGreaterThan(0x100000);
  });

  test('lends its exit status', () => {
    expect(retro('record', '--no-journal', '--quiet', '--exit-status', 'guest', image, 'list').status).toBe(1);
  });

  test('stops where it is told to, and replays to there', () => {
    const cut = join(folder, 'stopped.journal');
    expect(retro('record', '-o', cut, '--until-instructions', '200000', image, 'alu').stderr).toMatch(/^end +stopped$/m);
    expect(retro('verify', cut).status).toBe(0);
  });

  test('notices that a recording was changed', () => {
    const changed = join(folder, 'changed.journal');
    const bytes = readFileSync(journal), at = bytes.indexOf('alu shift=9');
    bytes.write('alu shift=8', at);
    writeFileSync(changed, bytes);
    const { status, stderr } = retro('replay', changed);
    expect(status).toBe(3);
    expect(stderr).toMatch(/^retro: The journal is damaged/);
  });
});

describe('what cannot be recorded', () => {
  test.each([
    [['record', 'no-such.elf'], 3, /^retro: Cannot read no-such\.elf: there is no such file\. Check the path\.$/],
    [['record', inProject('package.json')], 3, /^retro: The image is not an ELF file\./],
    [['record', '--cpu', 'EPYC-Millan', image], 3, /^retro: There is no CPU model “EPYC-Millan”\. The nearest names are EPYC-Milan/],
    [['record', '--memory', '1M', image], 3, /^retro: The image needs memory up to/],
    [['record', '--memory', '64G', image], 3, /^retro: RAM is .*Ask for another machine/],
    [['record', '-o', journal, image], 2, /^retro: There is a file .* already\. Add --force/],
    [['record', '-o', join(folder, 'no/such/folder.journal'), image], 3, /^retro: .*its folder does not exist/],
    [['record', '--tier', 'warp', image], 2, /^retro: --tier cannot be "warp"\./],
    [['replay', journal, '--until', '99999:0'], 3, /^retro: The journal has no event 99999/],
    [['replay', journal, '--until', '0:1', '--memory-at', '0xffff800000000000'], 3, /^retro: Nothing is at linear address/],
  ])('%j ends with %i and one sentence', (words, code, sentence) => {
    const { stderr, status } = retro(...words);
    expect(stderr.trim()).toMatch(sentence);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(status).toBe(code);
  });

  test('leaves no journal behind', () => {
    retro('record', '-o', join(folder, 'none.journal'), inProject('package.json'));
    expect(existsSync(join(folder, 'none.journal'))).toBe(false);
  });
});

test('the version is the package’s', () => {
  expect((JSON.parse(readFileSync(inProject('package.json'), 'utf8')) as { version: string }).version).toBe(VERSION);
});
