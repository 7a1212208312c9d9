// A nested guest goes to system-management mode and back: recorded, replayed in both tiers, and replayed with the other values of the
// behaviours that decide about it, which must come out otherwise where the guest can tell.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EMPTY } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { openJournal } from '../../journal/store.ts';
import { createBoard } from '../../src/board/board.ts';
import { createKvm } from '../../src/kvm/system.ts';
import { replay } from '../../src/replay/replay.ts';
import { verify } from '../../src/replay/verify.ts';
import { temporaryFolder } from '../journal/sample.ts';
import { all, machine, recordFake } from './recording.ts';

const read = (name: string): Buffer => readFileSync(new URL(`../programs/${name}`, import.meta.url));
const image = read('out/smm-nested.elf'), kvm = createKvm();
const header = { ...machine, model: 'EPYC-Genoa-v3', ramBytes: 64 << 20 };

/** What it prints and how it ends. */
function play(commandLine: string, behaviours: Record<string, string>) {
  const { model: cpu, ramBytes, seed, quantum, tscKhz } = header, printed: number[] = [];
  const board = createBoard(kvm.createVm({ cpu, behaviours, ramBytes, tier: 'auto', seed, quantum, tscKhz }), { cpuCount: 1, quantum, onOutput: (byte) => printed.push(byte) });
  board.loadImage(image, commandLine);
  return { stop: board.run(1_000_000n).kind, lines: String.fromCharCode(...printed).split('\n') };
}

async function recorded(commandLine: string) {
  const path = join(temporaryFolder(), 'smm-nested.journal');
  const events = await all(recordFake(kvm, path, {
    tier: 'auto', machine: header, kernel: { name: 'smm-nested.elf', bytes: image }, commandLine, checkpointInterval: 1 << 12, inputs: EMPTY,
  }));
  return { path, events: events.map(({ event, at }) => ({ ...event, at })) as ({ kind: string; detail?: Record<string, unknown>; at: { icount: number; level: number } })[] };
}
const verdicts = async (path: string): Promise<unknown[]> =>
  (await all(verify(openJournal(path), { kvm }))).flatMap(({ step }) => step.kind === 'verdict' ? [step.verdict.kind] : []);
/** The first event that comes out otherwise: what was recorded, what happened. */
async function divergence(path: string, behaviours: Record<string, string>): Promise<unknown> {
  const step = (await all(replay(openJournal(path), { kvm, tier: 'auto', behaviours }))).at(-1)!;
  if (step.kind !== 'verdict' || step.verdict.kind !== 'diverged') return undefined;
  const { recorded, replayed } = step.verdict.divergence as unknown as Record<'recorded' | 'replayed', { event: unknown } | null>;
  return [recorded?.event, replayed?.event];
}

test('every SMI in the guest, every RSM back, and what the hypervisor sees of them', async () => {
  const { path, events } = await recorded('smm-nested.elf');
  expect(await verdicts(path)).toEqual(['identical', 'identical']);
  const illegal = events.filter(({ kind, detail }) => kind === 'Rsm' && detail?.['failed'] !== undefined).map(({ detail }) => detail!['failed']);
  expect(illegal).toEqual([
    ['cr0.paging-without-protection'], ['cr0.not-write-through-without-cache-disable'], ['cr0.high-bits'], ['cr4.reserved'], ['efer.reserved'],
    ['long.paging-without-pae'], ['cr4.pcide-outside-long-mode'], ['cr4.reserved', 'cr4.cet-without-write-protect'], ['cr3.reserved'], ['rsm.code-long-and-big'],
    ['rsm.virtual-8086-in-long-mode'], ['rsm.dr6-high-bits'], ['rsm.dr7-high-bits'], ['rsm.page-directory-pointers'],
  ]);
}, 60_000);

test('KVM makes it a #VMEXIT and a VMRUN, which a guest can tell in seven ways', async () => {
  const { path } = await recorded('smm-nested.elf');
  expect(await divergence(path, { 'smm.rsm-to-l2': 'kvm' })).toMatchObject([{ kind: 'Smi', detail: { fromGuest: true } }, { kind: 'Smi', detail: { fromGuest: true, exit: 'SW' } }]);
  const { lines, stop } = play('smm-nested.elf', { 'smm.rsm-to-l2': 'kvm' }), file = new URL('../programs/smm-nested.kvm.txt', import.meta.url);
  if (process.env['UPDATE'] === '1') writeFileSync(file, lines.join('\n'));
  expect([lines, stop]).toEqual([readFileSync(file, 'utf8').split('\n'), 'exited']);
}, 60_000);

describe('what the handler does to the VMCB or the save area', () => {
  test.each([
    ['0', 'vmrun.intercept-clear'], ['1', 'vmrun.asid-zero'], ['2', 'vmrun.iopm-address'], ['3', 'vmrun.nested-paging-without-host-paging'],
  ])('%s: %s is a shutdown of the host, unless nobody looks', async (digit, row) => {
    const { path, events } = await recorded(`smm-nested.elf ${digit}`);
    expect(await verdicts(path)).toEqual(['identical', 'identical']);
    expect(events.at(-1)).toMatchObject({ kind: 'Ended', reason: 'shutdown' });
    expect(await divergence(path, { 'smm.rsm-nested-checks': 'none' }))
      .toMatchObject([{ kind: 'Rsm', detail: { toGuest: false, failed: [row] } }, { kind: 'Rsm', detail: { toGuest: true } }]);
    expect(play(`smm-nested.elf ${digit}`, { 'smm.rsm-nested-checks': 'none' }).lines.at(-2)).toBe('goes on');
  });
  test.each([['4', 'rsm.guest-without-svme'], ['5', 'rsm.guest-vmcb']])('%s: %s is a shutdown of the host', async (digit, row) => {
    const { path, events } = await recorded(`smm-nested.elf ${digit}`);
    expect(await verdicts(path)).toEqual(['identical', 'identical']);
    expect(events.find(({ kind }) => kind === 'Rsm')).toMatchObject({ detail: { toGuest: false, failed: [row] } });
    expect(events.at(-1)).toMatchObject({ kind: 'Ended', reason: 'shutdown' });
    expect(await divergence(path, { 'smm.rsm-nested-checks': 'none' })).toBeUndefined();
  });
  test('6: a shutdown of the guest that its hypervisor does not intercept is one of the machine', async () => {
    const { path, events } = await recorded('smm-nested.elf 6');
    expect(await verdicts(path)).toEqual(['identical', 'identical']);
    expect(events.slice(-4).map(({ kind, at }) => [kind, at.level])).toEqual([['Rsm', 1], ['TripleFault', 2], ['Shutdown', 1], ['Ended', 0]]);
  });
  test('7: SMBASE may be any address, but on the first processors with SMM', async () => {
    const { path } = await recorded('smm-nested.elf 7');
    expect(await verdicts(path)).toEqual(['identical', 'identical']);
    expect(await divergence(path, { 'smm.smbase-alignment': '32-kib' })).toMatchObject([{ kind: 'Rsm', detail: { smbase: 0x31000 } }, { kind: 'Rsm', detail: { failed: ['rsm.smbase-misaligned'], toGuest: true } }]);
    expect(play('smm-nested.elf 7', { 'smm.smbase-alignment': '32-kib' }).lines.at(-3)).toMatch(/^exit 0000007F/);
  });
});
