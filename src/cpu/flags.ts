// Lazy flags: how `flagResult` and `flagCarries` stand for the six arithmetic flags, kind-free, so that every condition
// is branch-free. The emitter writes the same formulas as expressions; this is their TypeScript twin for system code.
//
//   flagResult   i64, the result sign-extended from its width
//   flagCarries  i32: bit 31 CF, bit 30 the carry into the top bit (OF = bit 31 xor bit 30), bit 3 AF,
//                bits 15:8 are xored into the parity byte, bit 0 inverts SF
//   ZF = (flagResult == 0)   SF = sign(flagResult) xor bit 0   PF = even parity of (byte 0 of flagResult xor bits 15:8)
import { placeOf, VCPU_FILE } from './state.ts';
import type { Cpu } from './state.ts';

export const CF = 1, PF = 4, AF = 0x10, ZF = 0x40, SF = 0x80, TF = 0x100, IF = 0x200, DF = 0x400, OF = 0x800;
export const IOPL = 0x3000, NT = 0x4000, RF = 0x10000, VM = 0x20000, AC = 0x40000, VIF = 0x80000, VIP = 0x100000, ID = 0x200000;
export const ARITHMETIC = CF | PF | AF | ZF | SF | OF;

function evenParity(byte: number): boolean {
  const folded = byte ^ (byte >> 4);
  return ((0x9669 >> (folded & 15)) & 1) === 1;
}

// Both halves of flagResult apart: event delivery reads and IRET writes the flags without making a bigint.
const RESULT_WORD = placeOf('flagResult') >> 2, CARRIES_WORD = placeOf('flagCarries') >> 2, SYSTEM_WORD = placeOf('rflagsSystem') >> 2;

const arithmetic = (low: number, high: number, carries: number): number =>
  (carries >>> 31)
  | (evenParity((low ^ carries >>> 8) & 0xff) ? PF : 0)
  | ((carries >>> 3 & 1) << 4)
  | ((low | high) === 0 ? ZF : 0)
  | (((high >>> 31) ^ (carries & 1)) << 7)
  | (((carries >>> 31) ^ (carries >>> 30 & 1)) << 11);

/** The six arithmetic flags at their RFLAGS positions. */
export const arithmeticFlags = ({ u32 }: Cpu): number => arithmetic(u32[RESULT_WORD]!, u32[RESULT_WORD + 1]!, u32[CARRIES_WORD]!);

/** The canonical lazy form, what two vCPUs with equal flags agree on bit for bit: the result is 0 for ZF, else 1, and sign and parity are
 * corrected by the carries. */
function carriesOf(rflags: number): number {
  const zero = (rflags & ZF) !== 0, carry = (rflags & CF) !== 0, overflow = (rflags & OF) !== 0;
  return ((carry ? 0x80000000 : 0) | (carry !== overflow ? 0x40000000 : 0) | (rflags & AF ? 8 : 0)
    | (zero !== ((rflags & PF) !== 0) ? 0x100 : 0) | (rflags & SF ? 1 : 0)) >>> 0;
}
function putArithmetic(words: Uint32Array, base: number, rflags: number): void {
  words[RESULT_WORD - base] = (rflags & ZF) !== 0 ? 0 : 1;
  words[RESULT_WORD - base + 1] = 0;
  words[CARRIES_WORD - base] = carriesOf(rflags);
}
/** Stores the six flags in the canonical form. */
export const setArithmeticFlags = ({ u32 }: Cpu, rflags: number): void => putArithmetic(u32, 0, rflags);

/** RFLAGS as software sees it. */
export const rflags = (cpu: Cpu): number => cpu.rflagsSystem | arithmeticFlags(cpu);
export function setRflags(cpu: Cpu, value: number): void {
  cpu.rflagsSystem = ((value & ~ARITHMETIC) | 2) >>> 0;
  setArithmeticFlags(cpu, value);
}
/** Rewrites the lazy flags canonically: before a digest, a snapshot or a comparison. */
export const canonicaliseFlags = (cpu: Cpu): void => setArithmeticFlags(cpu, arithmeticFlags(cpu));

// ── The same for a vCPU that is a value ──

interface LazyFlags { readonly flagResult: bigint; readonly flagCarries: number; readonly rflagsSystem: number }

/** RFLAGS of a state value, whose words begin with the vCPU file's. */
export const rflagsOf = ({ words }: { readonly words: Readonly<Uint32Array> }): number =>
  words[SYSTEM_WORD - FILE]! | arithmetic(words[RESULT_WORD - FILE]!, words[RESULT_WORD - FILE + 1]!, words[CARRIES_WORD - FILE]!);
const FILE = VCPU_FILE >> 2;

/** Stores RFLAGS in a draft of one. */
export function putRflags(words: Uint32Array, rflags: number): void {
  words[SYSTEM_WORD - FILE] = (rflags & ~ARITHMETIC) | 2;
  putArithmetic(words, FILE, rflags);
}

/** The fields that stand for RFLAGS, canonical. */
export const flagFields = (rflags: number): LazyFlags =>
  ({ flagResult: (rflags & ZF) !== 0 ? 0n : 1n, flagCarries: carriesOf(rflags), rflagsSystem: ((rflags & ~ARITHMETIC) | 2) >>> 0 });
