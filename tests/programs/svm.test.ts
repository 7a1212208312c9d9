// Guest hypervisors, the scenarios of VMRUN that fails and of EVENTINJ: every program prints what is written in `svm/`, ends in the same
// state in all readings, and its recording replays in both tiers. Under another behaviour or on another model it prints what is written
// beside that, and a replay stops at the first event that comes out otherwise. UPDATE=1 writes the texts anew.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openJournal } from '../../journal/store.ts';
import { createBoard } from '../../src/board/board.ts';
import type { Tier } from '../../src/kvm/api.ts';
import { createKvm } from '../../src/kvm/system.ts';
import { replay, type Verdict } from '../../src/replay/replay.ts';
import { verify } from '../../src/replay/verify.ts';
import { temporaryFolder } from '../journal/sample.ts';
import { all, machine, recordFake } from '../replay/recording.ts';

/** Nothing in it that other parts of the engine may yet learn to claim. */
const MODEL = 'EPYC-Genoa-v3,-fxsr-opt,-tce';
const LIMIT = 50_000_000n;

interface Scenario {
  readonly name: string;
  readonly model?: string;
  /** Other values than the architectural ones. */
  readonly behaviours?: readonly string[];
  /** Other models, by what the text is called. */
  readonly models?: Readonly<Record<string, string>>;
}

const vectors = (...values: string[]): string[] => values.map((value) => `nsvm.eventinj-vectors=${value}`);

const scenarios: readonly Scenario[] = [
  { name: 'gif', behaviours: ['nsvm.vmrun-failure-gif=kept', 'nsvm.ncr3-check=unchecked'] },
  {
    name: 'state', behaviours: ['nsvm.consistency-cs-efer=unchecked'],
    models: { 'shadow-stacks': `${MODEL},+cet-ss`, narrow: `${MODEL},-la57,-pku,-smep,-smap,-umip,-auto-ibrs,-pcid,phys-bits=40` },
  },
  { name: 'control', behaviours: ['nsvm.ncr3-check=unchecked', 'nsvm.vmcb-gpa-error=emulation-failure'] },
  {
    name: 'eventinj', models: { 'shadow-stacks': `${MODEL},+cet-ss`, 'branch-tracking': `${MODEL},+cet-ibt`, 'sev-es': `${MODEL},+sev-es` },
    behaviours: [...vectors('by-capability', 'fixed-list', 'fixed-list-as-posted', 'unchecked'), 'nsvm.eventinj-cleared-on-exit=kept'],
  },
  { name: 'eventinj-cp', models: { 'shadow-stacks': `${MODEL},+cet-ss` }, behaviours: vectors('by-capability', 'fixed-list') },
  { name: 'eventinj-de', models: { 'shadow-stacks': `${MODEL},+cet-ss` }, behaviours: vectors('by-capability', 'fixed-list', 'fixed-list-as-posted', 'unchecked') },
  {
    name: 'kvm', behaviours: [
      'nsvm.eventinj-cleared-on-exit=kept', 'nsvm.eventinj-cleared-on-exit=zeroed', 'nsvm.consistency-cs-efer=unchecked', 'nsvm.ncr3-check=unchecked',
      'nsvm.vmmcall-unintercepted=hypercall', 'nsvm.invlpga-svme=ignored', 'nsvm.svme-clear=leaves-guest',
    ],
  },
  { name: 'features', models: { plain: `${MODEL},-lbrv,-v-vmsave-vmload,+skinit`, lock: `${MODEL},+svm-lock` } },
  { name: 'np', model: `${MODEL},-npt`, behaviours: ['nsvm.np-enable-check=checked'] },
];

/** RAM above the legacy video window, as the board maps it. */
const HIGH_SLOT = 2, HIGH_START = 0xc0000, RAM_SIZE = 64 << 20, PAGE = 0x1000;

const imageOf = (name: string): Uint8Array => readFileSync(new URL(`out/svm-${name}.elf`, import.meta.url));

function play(name: string, model: string, tier: Tier, behaviours: Readonly<Record<string, string>> = {}, step = LIMIT) {
  const printed: number[] = [];
  const vm = createKvm().createVm({ cpu: model, behaviours, ramBytes: 64 << 20, tier, seed: 7n, quantum: 10_000, tscKhz: 1_000_000 });
  const board = createBoard(vm, { cpuCount: 1, quantum: 10_000, onOutput: (byte) => printed.push(byte) });
  board.loadImage(imageOf(name), `svm-${name}.elf`);
  let stop = board.run(step);
  while (stop.kind === 'reached' && board.icount() < LIMIT) stop = board.run(board.icount() + step);
  const end = stop.kind === 'exited' && stop.status === 1 ? '' : `ends: ${stop.kind === 'failed' ? stop.exit.reason : stop.kind}\n`;
  return { text: String.fromCharCode(...printed) + end, icount: board.icount(), vcpu: vm.vcpus[0]!.digest(), memory: vm.memoryDigest(), board: board.digest() };
}

function expectText(name: string, text: string): void {
  const file = new URL(`svm/${name}.txt`, import.meta.url);
  if (process.env['UPDATE'] === '1' || !existsSync(file)) writeFileSync(file, text);
  expect(text).toBe(readFileSync(file, 'utf8'));
}

const pairOf = (choice: string): Record<string, string> => {
  const [id = '', value = ''] = choice.split('=');
  return { [id]: value };
};

/** Where a replay stops, with the checks that decided on either side. */
function outcomeOf(verdict: Verdict): string {
  if (verdict.kind === 'identical') return 'identical';
  const { recorded, replayed, differences } = verdict.divergence;
  const side = (happened: typeof recorded): string => happened === null ? 'nothing' : `${happened.event.kind}${failedOf(happened.event)}`;
  return `${side(recorded)}, not ${side(replayed)}: ${differences.join(' ')}`;
}
const failedOf = (event: object): string => {
  const { failed } = (event as { detail?: { failed?: readonly string[] } }).detail ?? {};
  return failed === undefined ? '' : ` (${failed.join(', ')})`;
};

describe.each(scenarios)('$name', ({ name, model = MODEL, models = {}, behaviours = [] }) => {
  it('prints what a processor would, in all three readings', () => {
    const interpreted = play(name, model, 'interpreter');
    expectText(name, interpreted.text);
    expect(play(name, model, 'translator')).toEqual(interpreted);
    if (interpreted.icount < 100_000n) {
      expect(play(name, model, 'reference')).toEqual(interpreted);
      expect(play(name, model, 'interpreter', {}, 7n)).toEqual(interpreted);
    }
  }, 60_000);

  it.each(Object.entries(models))('on a processor with %s', (title, other) => {
    expectText(`${name}.${title}`, play(name, other, 'auto').text);
  });

  it.each(behaviours)('with %s', (choice) => {
    expectText(`${name}.${choice}`, play(name, model, 'auto', pairOf(choice)).text);
  });

  it('is recorded, and replays in both tiers and until a behaviour matters', async () => {
    const path = join(temporaryFolder(), `${name}.journal`), kvm = createKvm();
    await all(recordFake(kvm, path, {
      tier: 'auto', machine: { ...machine, model, ramBytes: 64 << 20 }, kernel: { name: `svm-${name}.elf`, bytes: imageOf(name) }, commandLine: `svm-${name}.elf`, checkpointInterval: 1 << 16,
    }));
    const journal = openJournal(path);
    const steps = await all(verify(journal, { kvm }));
    expect(steps.flatMap(({ tier, step }) => step.kind === 'verdict' ? [[tier, step.verdict.kind]] : [])).toEqual([['interpreter', 'identical'], ['translator', 'identical']]);
    const lines: string[] = [];
    for (const choice of behaviours) {
      const last = (await all(replay(journal, { kvm, tier: 'auto', behaviours: pairOf(choice) }))).at(-1);
      if (last?.kind === 'verdict') lines.push(`${choice}: ${outcomeOf(last.verdict)}\n`);
    }
    journal.close();
    if (lines.length > 0) expectText(`${name}.replays`, lines.join(''));
  }, 60_000);
});

describe('the memory of a VMCB goes away while its guest runs', () => {
  it.each(['interpreter', 'translator', 'reference'] as const)('the vCPU shuts down (%s)', (tier) => {
    const printed: number[] = [];
    const vm = createKvm().createVm({ cpu: MODEL, behaviours: {}, ramBytes: RAM_SIZE, tier, seed: 7n, quantum: 10_000, tscKhz: 1_000_000 });
    const board = createBoard(vm, { cpuCount: 1, quantum: 10_000, onOutput: (byte) => printed.push(byte) });
    board.loadImage(imageOf('vanish'), 'svm-vanish.elf');
    expect(board.run(40_000n)).toEqual({ kind: 'reached' });
    const place = parseInt(/VMCB at ([0-9a-f]+)/.exec(String.fromCharCode(...printed))![1]!, 16);
    const map = (slot: number, start: number, end: number) => vm.setUserMemoryRegion({ slot, flags: 0, guestPhysical: start, size: end - start, ramOffset: start });
    map(HIGH_SLOT, HIGH_START, HIGH_START);
    map(HIGH_SLOT, HIGH_START, place);
    map(HIGH_SLOT + 1, place + PAGE, RAM_SIZE);
    expect(board.run(50_000n)).toEqual({ kind: 'reached' });
    vm.vcpus[0]!.nmi();
    expect(board.run(60_000n)).toEqual({ kind: 'shutdown', vcpu: 0 });
    expect(board.icount()).toBe(50_000n);
  });
});
