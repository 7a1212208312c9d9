// Reads the files of native vectors and runs one case in one engine: sets the state up, runs the instruction, compares everything. Used by
// `vectors.ts` and by tests/semantics; it prints nothing. The format is described in tests/vectors/README.md.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { AC, ARITHMETIC, DF, rflags, setRflags } from '../src/cpu/flags.ts';
import { Stop, type Engine } from '../src/cpu/engine.ts';
import { placeOfArea, RAM, type Cpu } from '../src/cpu/state.ts';
import { decode } from '../src/isa/decode.ts';
import type { CodeSize, Instruction, Undecodable } from '../src/isa/instruction.ts';
import { generalRegisters } from '../src/semantics/expr.ts';
import type { Capabilities } from '../src/model/capabilities.ts';
import { whyMissing } from '../src/semantics/index.ts';
import { createReference } from '../src/semantics/reference.ts';
import { createEngine } from '../src/wasm/index.ts';
import { createFlatMachine, memoryMap, RAM_LENGTH, Vector, type FlatMachine } from './flat-machine.ts';

type Items = Readonly<Record<string, string>> & { readonly m?: Readonly<Record<string, string>> };
export interface Case {
  readonly b: string;
  readonly i: Items;
  readonly o: Items;
  readonly x?: string;
  readonly a?: string;
  readonly u?: string;
  readonly us?: string;
  readonly ur?: readonly string[];
  readonly um?: readonly (readonly [string, number])[];
}
export interface Form {
  readonly code: string;
  readonly mode: CodeSize;
  readonly kind: string;
  readonly cpuid: readonly string[];
  /** The result is an approximation, whose last digits belong to the processor. */
  readonly approx?: boolean;
  readonly cases: readonly Case[];
}

export function* readForms(path: string): Generator<Form> {
  for (const line of gunzipSync(readFileSync(path)).toString().split('\n')) if (line) yield JSON.parse(line) as Form;
}

export type Reading = 'reference' | 'interpreter' | 'translator';
export const readingNames: readonly Reading[] = ['reference', 'interpreter', 'translator'];

/** An engine in a machine of its own. */
export interface Bench {
  readonly reading: Reading;
  readonly machine: FlatMachine;
  readonly engine: Engine & { readonly regionCount?: number };
}
/** A case executes one instruction, which is never hot: the translator translates before it executes. */
export function createBench(reading: Reading, capability: Capabilities): Bench {
  const machine = createFlatMachine(capability);
  machine.bytesOf('code').fill(0xcc);
  const engine = reading === 'reference' ? createReference(machine) : createEngine(reading, { ...machine, eager: reading === 'translator' });
  return { reading, machine, engine };
}

/** How a case ended: `differs` holds one line for each item that is not as recorded. */
export interface Result {
  readonly excluded?: string;
  readonly differs: readonly string[];
}
const agreed: Result = { differs: [] };

// ── Initial and expected state ──

const hex = (text: string): bigint => BigInt(`0x${text}`);
const STATUS = ARITHMETIC | DF | AC, IF_AND_ONE = 0x202;
const patterns = memoryMap.map(({ linear, length, name }) =>
  Uint8Array.from({ length }, (_, at) => name === 'code' ? 0xcc : ((linear + at) * 167 ^ (linear + at) >> 8) & 0xff));

interface State {
  readonly general: bigint[]; ip: bigint; flags: number; readonly memory: Uint8Array;
  /** YMM0 to YMM15. */
  readonly vectors: bigint[];
  /** Physical x87 registers. */
  readonly x87: bigint[];
  readonly control: Record<Control, number>;
}
const controls = ['mxcsr', 'fcw', 'fsw', 'ftw'] as const;
type Control = (typeof controls)[number];

function initialState(mode: CodeSize): State {
  const width = mode === 64 ? 64 : 32;
  const general = generalRegisters.map((_, number) => BigInt.asUintN(width, 0x9e3779b97f4a7c15n * BigInt(number + 1)));
  general[4] = mode === 16 ? 0x9800n : 0x10011800n;
  const memory = new Uint8Array(RAM_LENGTH);
  memoryMap.forEach(({ ramOffset }, index) => memory.set(patterns[index]!, ramOffset));
  const quadword = (k: number): bigint => BigInt.asUintN(64, 0xd1b54a32d192ed03n * BigInt(k + 1));
  const vectors = general.map((_, n) => [0, 1, 2, 3].reduce((all, k) => all | quadword(4 * n + k) << BigInt(64 * k), 0n));
  return {
    general, ip: mode === 16 ? 0x800n : 0x10000800n, flags: 0, memory, vectors, x87: new Array<bigint>(8).fill(0n),
    control: { mxcsr: 0x1f80, fcw: 0x37f, fsw: 0, ftw: 0 },
  };
}

const lowHalf = (1n << 128n) - 1n;
/** Vector, x87 and control items; false for what this machine does not hold. */
function overlayVector({ vectors, x87, control }: State, name: string, value: string): boolean {
  const [, file, digits] = /^(xmm|ymmh|p)([0-9]+)$/.exec(name) ?? [], number = Number(digits);
  if (file === 'xmm') vectors[number] = vectors[number]! & ~lowHalf | hex(value);
  else if (file === 'ymmh') vectors[number] = vectors[number]! & lowHalf | hex(value) << 128n;
  else if (file === 'p') x87[number] = hex(value);
  else if (name in control) control[name as Control] = Number(hex(value));
  else return false;
  return true;
}

/** Overlays items; returns the names of those that this machine does not hold. */
function overlay(state: State, items: Items): string[] {
  const unknown: string[] = [];
  for (const [name, value] of Object.entries(items)) {
    const number = generalRegisters.indexOf(name as (typeof generalRegisters)[number]);
    if (number >= 0) state.general[number] = hex(value as string);
    else if (name === 'ip') state.ip = hex(value as string);
    else if (name === 'fl') state.flags = Number(hex(value as string));
    else if (name === 'm') {
      for (const [at, bytes] of Object.entries(value as unknown as Record<string, string>)) state.memory.set(Buffer.from(bytes, 'hex'), ramOffsetOf(parseInt(at, 16)));
    } else if (!overlayVector(state, name, value as string)) unknown.push(name);
  }
  return unknown;
}

function ramOffsetOf(linear: number): number {
  const region = memoryMap.find(each => linear >= each.linear && linear < each.linear + each.length);
  if (!region) throw new Error(`${linear.toString(16)} is not in the memory map of the vectors`);
  return region.ramOffset + linear - region.linear;
}

// ── Running ──

const vectorOf: Readonly<Record<string, number>> = {
  '#DE': Vector.de, '#BR': Vector.br, '#UD': Vector.ud, '#SS': Vector.ss, '#GP': Vector.gp, '#PF': Vector.pf, '#MF': 16, '#XM': 19,
};
/** Software interrupts, which end in #GP(vector * 8 + 2) here because there is no interrupt table. */
const softwareInterrupts: Readonly<Record<string, number>> = { '#BP': Vector.bp, '#OF': Vector.of };

/** Why a case is not run, or the instruction. */
export function examine(bench: Bench, form: Form, test: Case): string | Instruction | undefined {
  const bytes = Buffer.from(test.b, 'hex');
  const found = decode(bytes, 0, bytes.length, form.mode, bench.machine.has);
  if (found.mnemonic === '') return (found as Undecodable).why === 'ud' && test.x !== '#UD' ? 'no encoding yet, or its CPUID feature is not offered' : undefined;
  const instruction = found as Instruction;
  const missing = whyMissing(instruction.mnemonic);
  if (missing !== undefined) return test.x === '#UD' ? instruction : missing;
  return instruction;
}

export function runCase(bench: Bench, form: Form, test: Case): Result {
  const instruction = examine(bench, form, test);
  if (typeof instruction === 'string') return { excluded: instruction, differs: [] };
  const { machine, engine } = bench, { cpu } = machine;
  const before = initialState(form.mode), after = initialState(form.mode);
  const unknown = [...overlay(before, test.i), ...overlay(after, test.i)];
  if (!test.x || test.x === '#BP') after.ip += BigInt(test.b.length / 2);
  unknown.push(...overlay(after, test.o));
  if (unknown.length > 0) return { excluded: 'registers that this machine does not hold', differs: [] };

  placeCode(before, after, form.mode, test);
  machine.enter(form.mode);
  load(bench, before);
  const count = instruction && instruction.rep !== 'none' ? elements(instruction, before, after, test) : 1;
  cpu.budget = count;
  const stop = engine.run();
  return compare(machine, form, test, after, stop);
}

/** The instruction's bytes in both states; what would lie beyond the mapped code is not in memory. */
function placeCode(before: State, after: State, mode: CodeSize, { b }: Case): void {
  const first = Number(before.ip) + (mode === 16 ? memoryMap[0].linear : 0) - memoryMap[0].linear;
  const bytes = Buffer.from(b, 'hex').subarray(0, memoryMap[0].length - first);
  before.memory.set(bytes, first);
  after.memory.set(bytes, first);
}

let cold = false;
function load({ reading, machine, engine }: Bench, state: State): void {
  const { cpu } = machine;
  state.general.forEach((value, number) => cpu.setGeneral(number, value));
  const zmm = placeOfArea('zmm'), x87 = placeOfArea('x87');
  state.vectors.forEach((value, number) => { for (let k = 0; k < 4; k++) cpu.u64[(zmm + 64 * number >> 3) + k] = BigInt.asUintN(64, value >> BigInt(64 * k)); });
  state.x87.forEach((value, number) => { for (let k = 0; k < 2; k++) cpu.u64[(x87 + 16 * number >> 3) + k] = BigInt.asUintN(64, value >> BigInt(64 * k)); });
  for (const name of controls) cpu[name] = state.control[name];
  for (const name of ['fop', 'fcs', 'fds'] as const) cpu[name] = 0;
  cpu.fip = cpu.fdp = 0n;
  cpu.rip = state.ip;
  setRflags(cpu, state.flags | IF_AND_ONE);
  const code = memoryMap[0];
  if (Buffer.compare(state.memory.subarray(0, code.length), cpu.u8.subarray(RAM, RAM + code.length)) !== 0) engine.invalidateCode(0, code.length);
  cpu.u8.set(state.memory, RAM);
  // Every other case begins with an empty TLB, so that both the fast and the slow path are seen; translated code has only the fast one.
  cold = !cold && reading !== 'translator';
  if (cold) machine.flushTlb();
  engine.flushAddresses();
}

/** How many elements the recorded processor did, plus the one that faulted. */
function elements({ addressSize }: Instruction, before: State, after: State, { x }: Case): number {
  const done = BigInt.asUintN(addressSize, before.general[1]!) - BigInt.asUintN(addressSize, after.general[1]!);
  return Math.max(1, Number(done) + (x ? 1 : 0));
}

// ── Comparing ──

function compare({ cpu }: FlatMachine, form: Form, test: Case, expected: State, stop: Stop): Result {
  const differs: string[] = [], undefinedOnly: string[] = [];
  const width = form.mode === 64 ? 64 : 32;
  const say = (item: string, is: bigint | number, should: bigint | number): void => {
    (test.ur?.includes(item) ? undefinedOnly : differs).push(`${item} ${is.toString(16)}, not ${should.toString(16)}`);
  };
  compareStop(cpu, test, stop, differs);
  const software = test.x !== undefined && test.x in softwareInterrupts;
  generalRegisters.forEach((name, number) => {
    const value = BigInt.asUintN(width, cpu.general(number));
    if (value !== expected.general[number]) say(name, value, expected.general[number]!);
  });
  const ip = BigInt.asUintN(width, cpu.rip) + (software && test.x === '#BP' ? BigInt(test.b.length / 2) : 0n);
  if (ip !== expected.ip && !(software && test.x === '#OF')) say('ip', ip, expected.ip);
  // Undefined flags are compared too: this processor gives every one of them by a rule.
  const flags = rflags(cpu) & STATUS;
  if (flags !== expected.flags) say('fl', flags, expected.flags);
  if (form.approx) allowApproximation(cpu, expected, undefinedOnly);
  if (form.approx) allowLastDigit(cpu, expected, undefinedOnly);
  compareVectors(cpu, test, expected, say);
  const memory = cpu.u8.subarray(RAM, RAM + RAM_LENGTH);
  if (form.code.startsWith('Fxsave')) allowPointers(memory, expected, test, undefinedOnly);
  if (Buffer.compare(memory, expected.memory) !== 0) {
    const at = memory.findIndex((byte, index) => byte !== expected.memory[index]);
    differs.push(`memory at ${linearOf(at).toString(16)}: ${memory[at]!.toString(16)}, not ${expected.memory[at]!.toString(16)}`);
  }
  if (differs.length === 0 && undefinedOnly.length > 0) {
    return { excluded: form.approx ? 'approximations within their bound, with other last digits'
        : form.code.startsWith('Fxsave') ? 'MXCSR masks of another processor' : 'registers left undefined after a fault', differs: [] };
  }
  return differs.length === 0 ? agreed : { differs };
}

/** RCPPS and RSQRTPS: both values are within 1.5 * 2^-12 of the exact one, so within 2^-10.4 of each other. */
function allowApproximation(cpu: Cpu, { vectors }: State, found: string[]): void {
  const single = new Float32Array(2), word = new Uint32Array(single.buffer);
  vectors.forEach((should, number) => {
    for (let lane = 0; lane < 8; lane++) {
      const at = (placeOfArea('zmm') + 64 * number >> 2) + lane, shift = BigInt(32 * lane);
      word[0] = cpu.u32[at]!;
      word[1] = Number(should >> shift & 0xffffffffn);
      if (word[0] === word[1] || !(Math.abs(single[0]! - single[1]!) <= Math.abs(single[1]!) * 3 / 4096)) continue;
      found.push(`${lane < 4 ? 'xmm' : 'ymmh'}${number}`);
      vectors[number] = vectors[number]! & ~(0xffffffffn << shift) | BigInt(word[0]) << shift;
    }
  });
}

const MASK63 = (1n << 63n) - 1n;
/** x87 functions promise less than one unit in the last place: then the other neighbour of the exact value is as good, and so is its C1. */
function allowLastDigit(cpu: Cpu, { x87, control }: State, found: string[]): void {
  x87.forEach((should, number) => {
    const at = placeOfArea('x87') + 16 * number >> 3;
    const is = BigInt.asUintN(80, cpu.u64[at]! | cpu.u64[at + 1]! << 64n);
    // Without the integer bit, so that neighbours on both sides of a power of two are neighbours here.
    const distance = (is >> 64n << 63n | is & MASK63) - (should >> 64n << 63n | should & MASK63);
    if (distance !== 1n && distance !== -1n) return;
    found.push(`p${number}`);
    x87[number] = is;
  });
  const C1 = 0x200;
  if ((cpu.fsw ^ control.fsw) !== C1) return;
  found.push('fsw');
  control.fsw = cpu.fsw;
}

/** The x87 pointers and the MXCSR mask that FXSAVE stores belong to the processor. */
function allowPointers(memory: Uint8Array, expected: State, { um }: Case, found: string[]): void {
  for (const [at, length] of um ?? []) {
    const from = ramOffsetOf(parseInt(at, 16)), is = memory.subarray(from, from + length);
    if (Buffer.compare(is, expected.memory.subarray(from, from + length)) === 0) continue;
    expected.memory.set(is, from);
    found.push(`memory at ${at}`);
  }
}

function compareVectors(cpu: Cpu, { ur, us }: Case, expected: State, say: (item: string, is: bigint | number, should: bigint | number) => void): void {
  const quadwords = (at: number, count: number): bigint => {
    let value = 0n;
    for (let k = count - 1; k >= 0; k--) value = value << 64n | cpu.u64[(at >> 3) + k]!;
    return value;
  };
  expected.vectors.forEach((should, number) => {
    const is = quadwords(placeOfArea('zmm') + 64 * number, 4);
    // EXTRQ and INSERTQ leave the upper half open.
    const care = ur?.includes(`xmm${number}h`) ? ~(lowHalf ^ 0xffff_ffff_ffff_ffffn) : -1n;
    if ((is & care) !== (should & care)) say((is & care & lowHalf) === (should & care & lowHalf) ? `ymmh${number}` : `xmm${number}`, is, should);
  });
  expected.x87.forEach((should, number) => {
    const is = BigInt.asUintN(80, quadwords(placeOfArea('x87') + 16 * number, 2));
    if (is !== should) say(`p${number}`, is, should);
  });
  for (const name of controls) {
    const care = name === 'fsw' && us ? ~parseInt(us, 16) : -1;
    if ((cpu[name] & care) !== (expected.control[name] & care)) say(name, cpu[name], expected.control[name]);
  }
}

function linearOf(ramOffset: number): number {
  const region = memoryMap.find(each => ramOffset >= each.ramOffset && ramOffset < each.ramOffset + each.length);
  return region ? region.linear + ramOffset - region.ramOffset : ramOffset;
}

function compareStop(cpu: Cpu, { x, a }: Case, stop: Stop, differs: string[]): void {
  if (!x) {
    if (stop === Stop.fault) differs.push(`fault ${cpu.faultVector}, where there should be none`);
    else if (stop !== Stop.budget && stop !== Stop.attention) differs.push(`stop ${stop}`);
    else if (cpu.budget !== 0) differs.push(`${cpu.budget} instructions of the budget are left`);
    return;
  }
  const software = softwareInterrupts[x];
  const vector = software === undefined ? vectorOf[x] : Vector.gp;
  if (stop !== Stop.fault) differs.push(`no fault, where there should be ${x}`);
  else if (cpu.faultVector !== vector) differs.push(`fault ${cpu.faultVector}, not ${x}`);
  else if (software !== undefined && cpu.faultErrorCode !== software * 8 + 2) differs.push(`error code ${cpu.faultErrorCode.toString(16)}`);
  else if (a !== undefined && cpu.faultAddress !== hex(a)) differs.push(`CR2 ${cpu.faultAddress.toString(16)}, not ${a}`);
}
