// `retro behaviours`, and how the other commands are told which behaviours to have.
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { inProject } from '../../tools/project.ts';
import { temporaryFolder } from '../journal/sample.ts';
import { retro } from './retro.ts';

describe('retro behaviours', () => {
  test('explains one with the source of every value', () => {
    const { stdout, status } = retro('behaviours', 'nsvm.vmrun-failure-gif');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^ {2}cleared \(default\)$/m);
    expect(stdout).toContain('f85a6ce06e4a');
    expect(stdout).toMatch(/profiles: kvm-6\.1, kvm-6\.15, kvm-7\.0$/m);
  });

  test('shows what a profile chooses, as data too', () => {
    expect(retro('behaviours', '--profile', 'kvm-6.1').stdout).toMatch(/^ {2}nsvm\.vmrun-failure-gif=kept$/m);
    const { profile, behaviours } = JSON.parse(retro('behaviours', '--profile', 'kvm-7.1', '--json').stdout) as { profile: string; behaviours: { id: string; value: string }[] };
    expect(profile).toBe('kvm-7.1');
    expect(behaviours.find(({ id }) => id === 'nsvm.eventinj-vectors')!.value).toBe('by-capability');
  });

  test.each([
    [['behaviours', 'nsvm.vmrun-gif'], 3, /^retro: There is no behaviour “nsvm\.vmrun-gif”\. The nearest names are .*nsvm\.vmrun-failure-gif/],
    [['behaviours', '--profile', 'kvm-5'], 3, /^retro: There is no profile “kvm-5”\. The profiles are architectural/],
    [['behaviours', 'msr.unknown', '--profile', 'kvm-6.1'], 2, /^retro: A behaviour and a profile cannot both be shown\./],
    [['record', '--no-journal', '--behaviour', 'msr.unknown', 'x.elf'], 2, /^retro: --behaviour cannot be "msr\.unknown"\. Write --behaviour ID=VALUE/],
    [['record', '--no-journal', '--behaviour', 'msr.unknown=maybe', 'x.elf'], 3, /^retro: The behaviour msr\.unknown has no value “maybe”\. Its values are fault, ignore\./],
  ])('%j ends with %i and one sentence', (words, code, sentence) => {
    const { stderr, status } = retro(...words);
    expect(status).toBe(code);
    expect(stderr).toMatch(sentence);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });
});

test('a recording keeps its behaviours, and a replay may have others', () => {
  const journal = join(temporaryFolder(), 'run.journal'), image = inProject('tests/programs/out/smm.elf');
  retro('record', '-o', journal, '--memory', '64M', '--seed', '1', '--profile', 'kvm-7.0', '--behaviour', 'nsvm.vmrun-failure-gif=cleared', '--behaviour', 'smm.io-restart=restart', image);
  const { header } = JSON.parse(retro('info', journal, '--json').stdout) as { header: { behaviours: Record<string, string> } };
  expect(header.behaviours).toMatchObject({ 'smm.auto-halt-restart': 'absent', 'smm.interrupt-shadow': 'saved' });
  expect(header.behaviours).not.toHaveProperty('smm.io-restart');
  expect(header.behaviours).not.toHaveProperty('nsvm.vmrun-failure-gif');
  expect(retro('replay', '-q', journal).status).toBe(0);
  expect(retro('replay', '-q', journal, '--behaviour', 'smm.io-restart=absent').status).toBe(1);
  expect(retro('replay', '-q', journal, '--profile', 'architectural').status).toBe(1);
});
