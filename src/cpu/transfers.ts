// Transfers through a gate, and returns from them, that need no second decision. Whoever has checked one in full (`system/deliver.ts`,
// `system/far.ts`) writes down what it rested on and what came of it; an engine that finds every one of those words unchanged does
// the same again by itself. A pure cache: never visible, never saved, and what is in it need not be dropped, since it proves itself.
//
// Only the plain case is kept: 64-bit code at CPL 0 that stays there, no IST, no shadow stack, tables in the GDT, accessed bits set.
import { CS, SS } from './segments.ts';
import { placeOf, placeOfSegment, TRANSFERS, type Cpu } from './state.ts';

/** Places in an entry. What must hold: registers, then words of guest memory and where they are. */
export const Transfer = {
  idtrBase: 0, gdtrBase: 8, cr4: 16, idtrLimit: 24, gdtrLimit: 28,
  /** Two u64 at the gate's linear address. */
  gateLinear: 32, gate: 40,
  codeLinear: 56, codeDescriptor: 64,
  stackLinear: 72, stackDescriptor: 80,
  /** u32: the selectors that a return finds in its frame. */
  codeSelector: 88, stackSelector: 92,
  /** What follows from it: the target, the flags that stay (through a gate) or that come from the frame (a return), CS and SS. */
  target: 96, flags: 104, code: 112, stack: 136,
} as const;
const TRANSFER_SIZE = 160;

/** Registers that an entry names, with their places. */
export const transferRegisters = { idtrBase: 'u64', gdtrBase: 'u64', cr4: 'u64', idtrLimit: 'u32', gdtrLimit: 'u32' } as const;

/** The entry of a vector, and that of IRET. */
export const transferOf = (vector: number): number => TRANSFERS + vector * TRANSFER_SIZE;
export const RETURN = transferOf(256);

const registers = Object.entries(transferRegisters).map(([name, type]) => {
  const field = name as keyof typeof transferRegisters;
  return { from: placeOf(field) >> 2, to: Transfer[field] >> 2, words: type === 'u64' ? 2 : 1 };
});
const GDTR = placeOf('gdtrBase') >> 2, IDTR = placeOf('idtrBase') >> 2, RIP = placeOf('rip') >> 2, SEGMENT_WORDS = 6;

function putRegisters({ u32 }: Cpu, entry: number): void {
  for (const { from, to, words } of registers) for (let word = 0; word < words; word++) u32[entry + to + word] = u32[from + word]!;
}
function putSum({ u32 }: Cpu, at: number, base: number, distance: number): void {
  const sum = u32[base]! + distance;
  u32[at] = sum;
  u32[at + 1] = u32[base + 1]! + (sum > 0xffffffff ? 1 : 0);
}
function putSegment({ u32 }: Cpu, at: number, segment: number): void {
  const from = placeOfSegment(segment) >> 2;
  for (let word = 0; word < SEGMENT_WORDS; word++) u32[at + word] = u32[from + word]!;
}

interface Words { readonly low: number; readonly high: number }

/** After a delivery: CS is loaded already. `gate` has the four words of the gate. */
export function rememberDelivery(cpu: Cpu, vector: number, gate: ArrayLike<number>, selector: number, descriptor: Words, keptFlags: number): void {
  const { u32 } = cpu, entry = transferOf(vector) >> 2;
  putRegisters(cpu, entry);
  putSum(cpu, entry + (Transfer.gateLinear >> 2), IDTR, vector << 4);
  for (let word = 0; word < 4; word++) u32[entry + (Transfer.gate >> 2) + word] = gate[word]!;
  putDescriptor(cpu, entry, Transfer.codeLinear, Transfer.codeDescriptor, selector, descriptor);
  putSum(cpu, entry + (Transfer.target >> 2), RIP, 0);
  u32[entry + (Transfer.flags >> 2)] = keptFlags;
  putSegment(cpu, entry + (Transfer.code >> 2), CS);
}

/** After an IRET: CS and SS are loaded already. */
export function rememberReturn(cpu: Cpu, code: { readonly selector: number; readonly descriptor: Words }, stack: typeof code, takenFlags: number): void {
  const { u32 } = cpu, entry = RETURN >> 2;
  putRegisters(cpu, entry);
  putDescriptor(cpu, entry, Transfer.codeLinear, Transfer.codeDescriptor, code.selector, code.descriptor);
  putDescriptor(cpu, entry, Transfer.stackLinear, Transfer.stackDescriptor, stack.selector, stack.descriptor);
  u32[entry + (Transfer.codeSelector >> 2)] = code.selector;
  u32[entry + (Transfer.stackSelector >> 2)] = stack.selector;
  u32[entry + (Transfer.flags >> 2)] = takenFlags;
  putSegment(cpu, entry + (Transfer.code >> 2), CS);
  putSegment(cpu, entry + (Transfer.stack >> 2), SS);
}

function putDescriptor(cpu: Cpu, entry: number, linear: number, words: number, selector: number, { low, high }: Words): void {
  putSum(cpu, entry + (linear >> 2), GDTR, selector & 0xfff8);
  cpu.u32[entry + (words >> 2)] = low;
  cpu.u32[entry + (words >> 2) + 1] = high;
}
