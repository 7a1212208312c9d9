// Every guest program prints what is written beside it and ends in the same state in all three readings, however often it is
// interrupted. UPDATE=1 writes the texts anew.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createBoard } from '../../src/board/board.ts';
import type { Tier } from '../../src/kvm/api.ts';
import { createKvm } from '../../src/kvm/system.ts';

const here = new URL('.', import.meta.url);
const programs = readdirSync(here).filter((name) => name.endsWith('.S')).map((name) => name.slice(0, -2)).sort();
const LIMIT = 50_000_000n;
/** Programs about what the default model has not. */
const models: Readonly<Record<string, string>> = { shadow: 'SapphireRapids,+cet-ss,+cet-ibt', transactions: 'Haswell' };

/** A handler that does nothing: RSM, where SMBASE is after reset. */
const RSM_AT = 0x38000, RSM = Uint8Array.of(0x0f, 0xaa);

/** Runs a program to its end, in steps of `step` instructions where given, with an SMI between two steps where wanted. */
function play(name: string, tier: Tier, step?: bigint, smi = false) {
  const printed: number[] = [];
  const vm = createKvm().createVm({ cpu: models[name] ?? 'EPYC-Genoa-v3', behaviours: {}, ramBytes: 64 << 20, tier, seed: 7n, quantum: 10_000, tscKhz: 1_000_000 });
  const board = createBoard(vm, { cpuCount: 1, quantum: 10_000, onOutput: (byte) => printed.push(byte) });
  board.loadImage(readFileSync(new URL(`out/${name}.elf`, here)), `${name}.elf`);
  if (smi) vm.writeMemory(RSM_AT, RSM);
  let stop = board.run(step ?? LIMIT);
  while (stop.kind === 'reached' && board.icount() < LIMIT) {
    if (smi) vm.vcpus[0]!.smi();
    stop = board.run(board.icount() + (step ?? LIMIT) + (smi ? 1n : 0n));
  }
  return { text: String.fromCharCode(...printed), stop, icount: board.icount(), vcpu: vm.vcpus[0]!.digest(), memory: vm.memoryDigest(), board: board.digest() };
}

describe.each(programs)('%s', (name) => {
  it('prints what a processor would, in all three readings', () => {
    const interpreted = play(name, 'interpreter');
    const file = new URL(`${name}.txt`, here);
    if (process.env['UPDATE'] === '1' || !existsSync(file)) writeFileSync(file, interpreted.text);
    expect(interpreted.text).toBe(readFileSync(file, 'utf8'));
    expect(interpreted.stop).toEqual({ kind: 'exited', status: 1 });
    expect(play(name, 'translator')).toEqual(interpreted);
    expect(play(name, 'reference')).toEqual(interpreted);
  });
  it('ends in the same state however often it is interrupted', () => {
    const whole = play(name, 'interpreter');
    expect(play(name, 'interpreter', 1n)).toEqual(whole);
    expect(play(name, 'translator', 7n)).toEqual(whole);
  });
  // These put their own handler where this one is.
  it.skipIf(name.startsWith('smm'))('cannot tell that SMIs come between its instructions', () => {
    const { text, stop } = play(name, 'interpreter');
    for (const [tier, step] of [['interpreter', name === 'selfmodify' ? 61n : 5n], ['translator', name === 'selfmodify' ? 197n : 23n]] as const) {
      const interrupted = play(name, tier, step, true);
      expect([interrupted.text, interrupted.stop]).toEqual([text, stop]);
    }
  }, 30_000);
});
