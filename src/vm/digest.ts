// Digests: 64 bits over the architectural state of a vCPU, and over RAM by the content of its pages. The same state gives the same digest
// in every tier and on every host. Digests find differences; they are no defence against somebody who makes one on purpose.
import { canonicaliseFlags } from '../cpu/flags.ts';
import { placeOfArea, type Cpu } from '../cpu/state.ts';
import { hostOfPage, PageFlag, type Ram } from '../memory/ram.ts';
import { I32, I64, Module, Op, type Code } from '../wasm/encode.ts';
import { stateParts } from './vcpu-codec.ts';

export type Digest = readonly [high: number, low: number];
export const digestText = ([high, low]: Digest): string => ((high >>> 0).toString(16).padStart(8, '0') + (low >>> 0).toString(16).padStart(8, '0'));

export interface Digests {
  /** Of the active vCPU file. Lazy flags become canonical. */
  vcpu(): Digest;
  /** Over all of RAM: which page has which content. Pages that were not written since the last call are not read again. */
  memory(): Digest;
}

/** RAM is all zero when this is made. `beforeMemory` makes every page's next write known. */
export function createDigests(memory: WebAssembly.Memory, cpu: Cpu, ram: Ram, beforeMemory: () => void): Digests {
  const { u32 } = cpu, { flags } = ram;
  const { absorb, isZero, sumVcpu } = instantiate(memory);

  function begin(seed: number): void {
    for (let lane = 0; lane < LANES; lane++) {
      u32[(STATE >> 2) + 2 * lane] = seed;
      u32[(STATE >> 2) + 2 * lane + 1] = lane + 1;
    }
  }
  function finish(): Digest {
    let high = 0x243f6a88, low = 0x85a308d3;
    for (let word = STATE >> 2; word < (STATE >> 2) + 2 * LANES; word++) {
      high = avalanche(high + u32[word]! | 0);
      low = avalanche(low ^ Math.imul(u32[word]!, 0x9e3779b1)) + high | 0;
    }
    return [high >>> 0, avalanche(low) >>> 0];
  }

  // Two words per page as it counts in the sum. A zero page counts nothing, the order of pages does not matter, and one can be replaced.
  const parts = new Uint32Array(2 * ram.pageCount);
  let sumHigh = 0, sumLow = 0;
  function pagePart(page: number): Digest {
    const start = hostOfPage(page);
    if (isZero(start, start + 4096) !== 0) return ZERO;
    begin(page + 1);
    absorb(start, start + 4096);
    return finish();
  }

  return {
    vcpu() {
      canonicaliseFlags(cpu);
      sumVcpu();
      return [avalanche(u32[(STATE >> 2) + 1]!) >>> 0, avalanche(u32[STATE >> 2]! ^ u32[(STATE >> 2) + 1]!) >>> 0];
    },
    memory() {
      beforeMemory();
      for (let page = ram.nextPage(PageFlag.unhashed, 0); page !== -1; page = ram.nextPage(PageFlag.unhashed, page + 1)) {
        flags[page]! &= ~PageFlag.unhashed;
        const [high, low] = pagePart(page);
        sumHigh = sumHigh - parts[2 * page]! + high | 0;
        sumLow = sumLow - parts[2 * page + 1]! + low | 0;
        parts[2 * page] = high;
        parts[2 * page + 1] = low;
      }
      return [sumHigh >>> 0, sumLow >>> 0];
    },
  };
}

const ZERO: Digest = [0, 0];

function avalanche(value: number): number {
  value = Math.imul(value ^ value >>> 16, 0x85ebca6b);
  value = Math.imul(value ^ value >>> 13, 0xc2b2ae35);
  return value ^ value >>> 16;
}

// ── The inner loops, in WebAssembly: they read 64 bits at a time where JavaScript would have to make bigints ──

/** Four lanes that do not wait for each other, kept in the scratch area between calls. */
const LANES = 4, STATE = placeOfArea('slowValue');
const MULTIPLIERS = [0x9e3779b97f4a7c15n, 0xc2b2ae3d27d4eb4fn, 0x165667b19e3779f9n, 0x85ebca77c2b2ae63n] as const;
const ROTATIONS = [29, 31, 33, 37] as const;

interface Loops {
  /** Both addresses are multiples of 8. */
  absorb(start: number, end: number): void;
  /** 1 when all bytes are zero; the length is a multiple of 64. */
  isZero(start: number, end: number): number;
  /** Leaves the sum over the vCPU file in the scratch area. */
  sumVcpu(): void;
}

function instantiate(memory: WebAssembly.Memory): Loops {
  const module = new Module();
  module.importMemory('vm', 'memory');
  const absorb = module.function(module.type([I32, I32], []));
  writeAbsorb(absorb.code);
  module.export('absorb', absorb.index);
  const isZero = module.function(module.type([I32, I32], [I32]));
  writeIsZero(isZero.code);
  module.export('isZero', isZero.index);
  const sumVcpu = module.function(module.type([], []));
  writeSum(sumVcpu.code);
  module.export('sumVcpu', sumVcpu.index);
  return new WebAssembly.Instance(new WebAssembly.Module(module.finish()), { vm: { memory } }).exports as unknown as Loops;
}

const START = 0, END = 1;

function writeAbsorb(code: Code): void {
  const lanes = Array.from({ length: LANES }, () => code.local(I64));
  lanes.forEach((lane, index) => {
    code.i32(0);
    code.load(Op.i64Load, STATE + 8 * index);
    code.set(lane);
  });
  /** A multiplication carries upwards only: the rotation brings high bits down. */
  const mix = (index: number, offset: number): void => {
    code.get(lanes[index]!);
    code.get(START);
    code.load(Op.i64Load, offset);
    code.op(Op.i64Xor);
    code.i64(MULTIPLIERS[index]!);
    code.op(Op.i64Mul);
    code.i64(BigInt(ROTATIONS[index]!));
    code.op(Op.i64Rotl);
    code.set(lanes[index]!);
  };
  whileRoomFor(code, 8 * LANES, () => {
    for (let index = 0; index < LANES; index++) mix(index, 8 * index);
  });
  whileRoomFor(code, 8, () => { mix(0, 0); });
  lanes.forEach((lane, index) => {
    code.i32(0);
    code.get(lane);
    code.store(Op.i64Store, STATE + 8 * index);
  });
}

/** 64 bits of FNV-1a over a name, made odd: a product with it loses nothing. */
function keyOf(name: string): bigint {
  let hash = 0xcbf29ce484222325n;
  for (let at = 0; at < name.length; at++) hash = BigInt.asUintN(64, (hash ^ BigInt(name.charCodeAt(at))) * 0x100000001b3n);
  return hash | 1n;
}

/**
 * The sum over all parts of a product of the part's name and of how far its value is from the reset value: a part at its reset value adds
 * nothing, so a state table with more fields gives the same digest for a state that does not use them. Old journals keep their digests.
 */
function writeSum(code: Code): void {
  const sum = code.local(I64), value = code.local(I64), at = code.local(I32), key = code.local(I64);
  /** Adds what is on the stack, times the key on the stack above it. */
  const add = (): void => {
    code.op(Op.i64Mul);
    code.tee(value);
    code.get(value);
    code.i64Small(32);
    code.op(Op.i64ShrU);
    code.op(Op.i64Xor);
    code.i64(MULTIPLIERS[0]);
    code.op(Op.i64Mul);
    code.get(sum);
    code.op(Op.i64Add);
    code.set(sum);
  };
  for (const { name, offset, length, reset, area } of stateParts) {
    if (!area) {
      code.i32(0);
      code.load(length === 8 ? Op.i64Load : Op.i64Load32U, offset);
      if (reset !== 0n) {
        code.i64(reset);
        code.op(Op.i64Xor);
      }
      code.i64(keyOf(name));
      add();
      continue;
    }
    code.i32(offset);
    code.set(at);
    code.i64(keyOf(name));
    code.set(key);
    const again = code.loop();
    code.get(at);
    code.load(Op.i64Load);
    code.get(key);
    add();
    code.get(key);
    code.i64(MULTIPLIERS[1]);
    code.op(Op.i64Mul);
    code.set(key);
    code.get(at);
    code.i32(8);
    code.op(Op.i32Add);
    code.tee(at);
    code.i32(offset + length);
    code.op(Op.i32Ne);
    code.brIf(again);
    code.end();
  }
  code.i32(0);
  code.get(sum);
  code.store(Op.i64Store, STATE);
}

function writeIsZero(code: Code): void {
  whileRoomFor(code, 64, () => {
    for (let offset = 0; offset < 64; offset += 8) {
      code.get(START);
      code.load(Op.i64Load, offset);
      if (offset > 0) code.op(Op.i64Or);
    }
    code.op(Op.i64Eqz);
    code.op(Op.i32Eqz);
    code.if();
    code.i32(0);
    code.return();
    code.end();
  });
  code.i32(1);
}

/** Repeats while `size` bytes are left between START and END. */
function whileRoomFor(code: Code, size: number, body: () => void): void {
  const done = code.block(), again = code.loop();
  code.get(END);
  code.get(START);
  code.op(Op.i32Sub);
  code.i32(size);
  code.op(Op.i32LtU);
  code.brIf(done);
  body();
  code.get(START);
  code.i32(size);
  code.op(Op.i32Add);
  code.set(START);
  code.br(again);
  code.end();
  code.end();
}
