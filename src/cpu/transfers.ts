// Transfers through a gate, and returns from them, that need no second decision. Whoever has checked one in full (`system/deliver.ts`,
// `system/far.ts`) writes down what it rested on and what came of it; an engine that finds every one of those words unchanged does
// the same again by itself. A pure cache: never visible, never saved, and what is in it need not be dropped, since it proves itself.
//
// Only the plain case is kept: code at CPL 0 that stays there, 64-bit, or flat 32-bit outside long mode; no IST, no shadow stack, tables in the
// GDT, accessed bits set.
import { isLongMode } from './controls.ts';
import { CS, SS } from './segments.ts';
import { placeOf, placeOfSegment, TRANSFERS, type Cpu } from './state.ts';

/** Places in an entry. What must hold: registers, then words of guest memory and where they are. */
export const Transfer = {
  idtrBase: 0, gdtrBase: 8, cr4: 16, efer: 24, idtrLimit: 32, gdtrLimit: 36,
  /** Two u64 at the gate's linear address, outside long mode one. */
  gateLinear: 40, gate: 48,
  codeLinear: 64, codeDescriptor: 72,
  stackLinear: 80, stackDescriptor: 88,
  /** u32: the selectors that a return finds in its frame. */
  codeSelector: 96, stackSelector: 100,
  /** What follows from it: the target, the flags that stay (through a gate) or that come from the frame (a return), CS and SS. */
  target: 104, flags: 112, code: 120, stack: 144,
} as const;
const TRANSFER_SIZE = 168;

/** Registers that an entry names, with their places. */
export const transferRegisters = { idtrBase: 'u64', gdtrBase: 'u64', cr4: 'u64', efer: 'u64', idtrLimit: 'u32', gdtrLimit: 'u32' } as const;

const entryAt = (index: number): number => TRANSFERS + index * TRANSFER_SIZE;
/** The entry of a vector, in long mode and outside, and those of IRET. */
export const longTransferOf = (vector: number): number => entryAt(vector);
export const legacyTransferOf = (vector: number): number => entryAt(256 + vector);
export const LONG_RETURN = entryAt(512), LEGACY_RETURN = entryAt(513);

const registers = Object.entries(transferRegisters).map(([name, type]) => {
  const field = name as keyof typeof transferRegisters;
  return { from: placeOf(field) >> 2, to: Transfer[field] >> 2, words: type === 'u64' ? 2 : 1 };
});
const GDTR = placeOf('gdtrBase') >> 2, IDTR = placeOf('idtrBase') >> 2, RIP = placeOf('rip') >> 2, SEGMENT_WORDS = 6;

function putRegisters({ u32 }: Cpu, entry: number): void {
  for (const { from, to, words } of registers) for (let word = 0; word < words; word++) u32[entry + to + word] = u32[from + word]!;
}
/** Outside long mode linear addresses have 32 bits. */
function putSum(cpu: Cpu, at: number, base: number, distance: number): void {
  const { u32 } = cpu, sum = u32[base]! + distance;
  u32[at] = sum;
  u32[at + 1] = isLongMode(cpu) ? u32[base + 1]! + (sum > 0xffffffff ? 1 : 0) : 0;
}
function putSegment({ u32 }: Cpu, at: number, segment: number): void {
  const from = placeOfSegment(segment) >> 2;
  for (let word = 0; word < SEGMENT_WORDS; word++) u32[at + word] = u32[from + word]!;
}

interface Words { readonly low: number; readonly high: number }

/** After a delivery: CS is loaded already. `gate` has the words of the gate. */
export function rememberDelivery(cpu: Cpu, vector: number, gate: ArrayLike<number>, selector: number, descriptor: Words, keptFlags: number): void {
  const { u32 } = cpu, entry = (isLongMode(cpu) ? longTransferOf(vector) : legacyTransferOf(vector)) >> 2;
  putRegisters(cpu, entry);
  putSum(cpu, entry + (Transfer.gateLinear >> 2), IDTR, vector * gate.length * 4);
  for (let word = 0; word < gate.length; word++) u32[entry + (Transfer.gate >> 2) + word] = gate[word]!;
  putDescriptor(cpu, entry, Transfer.codeLinear, Transfer.codeDescriptor, selector, descriptor);
  putSum(cpu, entry + (Transfer.target >> 2), RIP, 0);
  u32[entry + (Transfer.flags >> 2)] = keptFlags;
  putSegment(cpu, entry + (Transfer.code >> 2), CS);
}

/** After an IRET: CS and, in long mode, SS are loaded already. */
export function rememberReturn(cpu: Cpu, code: { readonly selector: number; readonly descriptor: Words }, stack: typeof code | undefined, takenFlags: number): void {
  const { u32 } = cpu, entry = (stack === undefined ? LEGACY_RETURN : LONG_RETURN) >> 2;
  putRegisters(cpu, entry);
  putDescriptor(cpu, entry, Transfer.codeLinear, Transfer.codeDescriptor, code.selector, code.descriptor);
  u32[entry + (Transfer.codeSelector >> 2)] = code.selector;
  u32[entry + (Transfer.flags >> 2)] = takenFlags;
  putSegment(cpu, entry + (Transfer.code >> 2), CS);
  if (stack === undefined) return;
  putDescriptor(cpu, entry, Transfer.stackLinear, Transfer.stackDescriptor, stack.selector, stack.descriptor);
  u32[entry + (Transfer.stackSelector >> 2)] = stack.selector;
  putSegment(cpu, entry + (Transfer.stack >> 2), SS);
}

function putDescriptor(cpu: Cpu, entry: number, linear: number, words: number, selector: number, { low, high }: Words): void {
  putSum(cpu, entry + (linear >> 2), GDTR, selector & 0xfff8);
  cpu.u32[entry + (words >> 2)] = low;
  cpu.u32[entry + (words >> 2) + 1] = high;
}
