// Random programs for differential tests: instructions of the native vectors behind each other, with jumps among them, run by two engines
// with the same budgets; every stop must show the same state. Used by `sequences.test.ts` and, for long runs, from the command line.
import { Stop, type Engine } from '../../src/cpu/engine.ts';
import { rflags, setRflags } from '../../src/cpu/flags.ts';
import { placeOfArea, RAM, VECTOR_BYTES } from '../../src/cpu/state.ts';
import { decode } from '../../src/isa/decode.ts';
import type { CodeSize, HasFeature, Instruction } from '../../src/isa/instruction.ts';
import { isSystem, meaningOf } from '../../src/semantics/index.ts';
import { memoryMap, RAM_LENGTH, type FlatMachine } from '../../tools/flat-machine.ts';
import { readForms } from '../../tools/native-vectors.ts';

/** A small generator of its own: the seed is all there is to a program. */
export function random(seed: number): (below: number) => number {
  let state = (seed * 2654435761 >>> 0) || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** Encodings of instructions that stay where they are: no transfer, nothing done in TypeScript. */
export function instructionPool(files: readonly string[], mode: CodeSize, has: HasFeature): Uint8Array[] {
  const pool = new Map<string, Uint8Array>();
  for (const file of files) {
    for (const form of readForms(file)) {
      if (form.mode !== mode) continue;
      for (const { b } of form.cases) {
        const bytes = Buffer.from(b, 'hex');
        const found = decode(bytes, 0, bytes.length, mode, has);
        if (found.mnemonic === '' || found.length !== bytes.length || isSystem(found.mnemonic) || !meaningOf(found.mnemonic)) continue;
        if (['JCC', 'JMP', 'CALL', 'RET', 'LOOP', 'LOOPE', 'LOOPNE', 'JCXZ'].includes(found.mnemonic)) continue;
        pool.set(b, bytes);
      }
    }
  }
  return [...pool.values()];
}

export interface Program {
  readonly seed: number;
  readonly mode: CodeSize;
  readonly code: Uint8Array;
  readonly general: readonly bigint[];
  readonly flags: number;
}

/** A loop over a dozen or two instructions with conditional jumps in it. */
export function makeProgram(seed: number, mode: CodeSize, pool: readonly Uint8Array[], registerOnly: readonly Uint8Array[]): Program {
  const next = random(seed);
  const count = 4 + next(24);
  const pieces: (Uint8Array | { readonly condition: number; readonly over: number })[] = [];
  for (let k = 0; k < count; k++) {
    if (next(6) === 0) pieces.push({ condition: next(16), over: 1 + next(4) });
    else pieces.push(next(3) === 0 ? pool[next(pool.length)]! : registerOnly[next(registerOnly.length)]!);
  }
  const lengthOf = (piece: (typeof pieces)[number] | undefined): number => piece instanceof Uint8Array ? piece.length : 2;
  const bytes: number[] = [];
  pieces.forEach((piece, index) => {
    if (piece instanceof Uint8Array) bytes.push(...piece);
    else {
      let distance = 0;
      for (let k = 1; k <= piece.over && index + k < pieces.length; k++) distance += lengthOf(pieces[index + k]);
      bytes.push(0x70 + piece.condition, distance);
    }
  });
  const distance = -(bytes.length + (mode === 16 ? 3 : 5));
  bytes.push(0xe9, distance & 0xff, distance >> 8 & 0xff);
  if (mode !== 16) bytes.push(distance >> 16 & 0xff, distance >> 24 & 0xff);
  const base = mode === 16 ? 0x8000 : 0x10010000;
  const general = Array.from({ length: 16 }, (_, number) => {
    if (number === 4 || next(2) === 0) return BigInt(base + 0x400 + 8 * next(0x180));
    const value = BigInt(next(2 ** 32)) << 32n | BigInt(next(2 ** 32));
    return mode === 64 ? (next(3) === 0 ? BigInt(next(64)) : value) : BigInt.asUintN(32, value);
  });
  return { seed, mode, code: Uint8Array.from(bytes), general, flags: 0x202 | next(0x1000) & 0x8d5 };
}

export interface Side { readonly machine: FlatMachine; readonly engine: Engine }

/** Single numbers and halves of doubles that floating point treats in ways of their own. */
const interesting = [0, 0, 0x3f800000, 0xbf800000, 0x3ff00000, 0xc0080000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7fa00001, 0x00000001, 0x80000000, 0x00800000, 0x7f7fffff];

/** Puts the program into a machine. */
export function load({ machine, engine }: Side, program: Program): void {
  const { cpu } = machine;
  machine.enter(program.mode);
  program.general.forEach((value, number) => { cpu.setGeneral(number, value); });
  cpu.rip = program.mode === 16 ? 0x800n : 0x10000800n;
  setRflags(cpu, program.flags);
  const next = random(program.seed + 33), vectors = placeOfArea('zmm');
  for (let at = 0; at < 16 * VECTOR_BYTES; at += 4) cpu.u32[vectors + at >> 2] = at % VECTOR_BYTES < 32 ? interesting[next(2 * interesting.length)] ?? next(2 ** 32) : 0;
  cpu.mxcsr = [0x1f80, 0x1fa0, 0x1fbf, 0x9fe0, 0x7fa0][next(5)]!;
  for (const { ramOffset, length, linear, name } of memoryMap) {
    for (let at = 0; at < length; at++) cpu.u8[RAM + ramOffset + at] = name === 'code' ? 0xcc : (linear + at) * 167 ^ (linear + at) >> 8;
  }
  cpu.u8.set(program.code, RAM + 0x800);
  engine.invalidateCode(0, memoryMap[0].length);
  engine.flushAddresses();
  machine.flushTlb();
}

/** Everything that can be seen of a machine, as text. */
export function picture({ machine: { cpu } }: Side, stop: Stop, mode: CodeSize): string {
  const width = mode === 64 ? 64 : 32;
  const registers = Array.from({ length: mode === 64 ? 16 : 8 }, (_, number) => BigInt.asUintN(width, cpu.general(number)).toString(16));
  const fault = stop === Stop.fault ? ` fault ${cpu.faultVector} ${cpu.faultErrorCode} ${cpu.faultVector === 14 ? cpu.faultAddress.toString(16) : ''}` : '';
  const vectors = placeOfArea('zmm') >> 2, words = cpu.u32.subarray(vectors, vectors + 16 * (VECTOR_BYTES >> 2));
  const vectorText = Array.from({ length: 16 }, (_, number) => `v${number} ${[...words.subarray(16 * number, 16 * number + 16)].map(word => word.toString(16)).join('.')}`);
  return `stop ${stop}${fault} left ${cpu.budget} ip ${cpu.rip.toString(16)} fl ${rflags(cpu).toString(16)} ${registers.join(' ')} mxcsr ${cpu.mxcsr.toString(16)} ${vectorText.join(' ')}`;
}

/** Runs a program on both sides; the answer is the first difference, or undefined. */
export function compare(left: Side, right: Side, program: Program, steps: number): string | undefined {
  load(left, program);
  load(right, program);
  const next = random(program.seed + 77);
  for (let done = 0; done < steps;) {
    const budget = next(4) === 0 ? 1 : 1 + next(60);
    const results = [left, right].map((side) => {
      side.machine.cpu.budget = budget;
      const stop = side.engine.run();
      return { text: picture(side, stop, program.mode), stop };
    });
    if (results[0]!.text !== results[1]!.text) return `${results[0]!.text}\n${results[1]!.text}`;
    const memories = [left, right].map(({ machine: { cpu } }) => cpu.u8.subarray(RAM, RAM + RAM_LENGTH));
    if (Buffer.compare(memories[0]!, memories[1]!) !== 0) {
      const at = memories[0]!.findIndex((byte, index) => byte !== memories[1]![index]);
      return `RAM at ${at.toString(16)}: ${memories[0]![at]!.toString(16)}, ${memories[1]![at]!.toString(16)}; ${results[0]!.text}`;
    }
    if (results[0]!.stop !== Stop.budget) return undefined;
    done += budget;
  }
  return undefined;
}

/** Instructions of a pool without a memory operand, which cannot fault on an address. */
export const withoutMemory = (pool: readonly Uint8Array[], mode: CodeSize, has: HasFeature): Uint8Array[] => pool.filter((bytes) => {
  const found = decode(bytes, 0, bytes.length, mode, has) as Instruction;
  return found.operands.every(({ kind }) => kind !== 'memory') && !['PUSH', 'POP', 'LEAVE', 'DIV', 'IDIV'].includes(found.mnemonic);
});
