// `retro migrate` and `retro explain` as a user has them: the words, the exit codes, and what is said to mistakes.
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { inProject } from '../../tools/project.ts';
import { temporaryFolder } from '../journal/sample.ts';
import { retro } from './retro.ts';

const journal = join(temporaryFolder(), 'run.journal');
beforeAll(() => {
  retro('record', '-q', '-o', journal, '--seed', '1', '--memory', '4M', '--cpu', 'EPYC-Genoa-v3,+sev-es', '--input', 'gv!', inProject('tests/programs/out/inject.elf'));
});
/** The event of this kind with a text in it. */
const eventWith = (text: string): string => {
  const line = retro('events', journal, '--json').stdout.trim().split('\n').find((each) => each.includes(text))!;
  return String((JSON.parse(line) as { seq: number }).seq);
};

describe('retro migrate', () => {
  test('says what differs first, and why', () => {
    const { stdout, status } = retro('migrate', journal, '--to', '-sev-es');
    expect(status).toBe(1);
    expect(stdout).toMatch(/^verdict +diverged$/m);
    expect(stdout).toMatch(/^instruction +vmrun/m);
    expect(stdout).toMatch(/^check +vmrun\.event\.vector: passed \| failed$/m);
    expect(stdout).toMatch(/^because +sev-es \(CPUID 8000001f\.0 EAX bit 3\): yes \| no$/m);
  });

  test('tells a footprint that agrees without a replay', () => {
    const { stdout, status } = retro('migrate', journal, '--to', '-shstk,-pku');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^verdict +identical by footprint$/m);
    expect(stdout).toContain('nothing was replayed');
  });

  test('gives data', () => {
    const { stdout } = retro('migrate', journal, '--behaviour', 'nsvm.vmrun-failure-gif=kept', '--json');
    const verdict = JSON.parse(stdout) as { verdict: string; first: { because: unknown[] }; seen: { icount: number } };
    expect(verdict).toMatchObject({ verdict: 'diverged', first: { because: [{ capability: 'nsvm.vmrun-failure-gif', original: 'cleared', other: 'kept' }] } });
    expect(verdict.seen.icount).toBeGreaterThan(0);
  });

  test.each([
    [[journal], 2, /^retro: retro migrate needs to know where to\. Add --to MODEL/],
    [[journal, '--to', 'EPYC-Millan'], 3, /^retro: There is no CPU model “EPYC-Millan”\. The nearest names are/],
    [[journal, '--to', '-smepp'], 3, /^retro: There is no CPU feature “smepp”\./],
    [[journal, '--behaviour', 'nsvm.gif=kept'], 3, /^retro: There is no behaviour “nsvm\.gif”\./],
    [[`${journal}.none`, '--to', 'EPYC'], 3, /^retro: .*cannot be opened/],
  ])('%j ends with %i and one sentence', (words, code, sentence) => {
    const { stderr, status } = retro('migrate', ...words);
    expect(status).toBe(code);
    expect(stderr).toMatch(sentence);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });
});

describe('retro explain', () => {
  test('a VMRUN that failed: the check, its place in the manual', () => {
    const { stdout, status } = retro('explain', journal, eventWith('vmrun.asid-zero'));
    expect(status).toBe(0);
    expect(stdout).toMatch(/^failed +vmrun\.asid-zero$/m);
    expect(stdout).toContain('The ASID is 0. (APM Vol. 2, 15.5.1)');
    expect(stdout).toMatch(/^passed +\d+ checks$/m);
    expect(stdout).toMatch(/^asked +.*nsvm\.vmrun-failure-gif=cleared/m);
  });

  test('a VMRUN that passed: what decided', () => {
    const { checks, asked } = JSON.parse(retro('explain', journal, eventWith('exception 29'), '--json').stdout) as
      { checks: { id: string; passed: boolean; asked: string[]; reference: string }[]; asked: Record<string, unknown> };
    expect(checks.find(({ id }) => id === 'vmrun.event.vector')).toMatchObject({ passed: true, asked: ['nsvm.eventinj-vectors', 'sev-es'] });
    expect(checks.every(({ reference }) => reference.length > 0)).toBe(true);
    expect(asked).toMatchObject({ 'sev-es': true });
  });

  test('an instruction, an input, the end', () => {
    const { stdout } = retro('explain', journal, '1:100');
    expect(stdout).toMatch(/^mode +L1, protected without paging, CPL 0$/m);
    expect(stdout).toMatch(/^changes +.*rip 0x[0-9a-f]+ to 0x[0-9a-f]+/m);
    expect(retro('explain', journal, eventWith('SerialInput')).stdout).toMatch(/^input +event 1, SerialInput bytes="gv!"$/m);
    expect(retro('explain', journal, eventWith('DebugExit')).stdout).toMatch(/^instruction +out /m);
  });

  test.each([
    [['9999'], 3, /^retro: The journal has no event 9999; its last is \d+\.$/],
    [['here'], 3, /^retro: “here” is not a position\./],
    [[], 2, /^retro: retro explain needs more than that\. Write: retro explain JOURNAL POSITION/],
  ])('%j ends with %i and one sentence', (words, code, sentence) => {
    const { stderr, status } = retro('explain', journal, ...words);
    expect(status).toBe(code);
    expect(stderr.trim()).toMatch(sentence);
  });
});
