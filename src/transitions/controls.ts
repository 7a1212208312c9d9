// Consistency of control registers, as rows: what is illegal, where the manual says so, whether a state holds. MOV CR, WRMSR EFER and LMSW
// raise #GP(0) for the first row that does not hold; world switches (VMRUN, RSM) read the same rows by id. No row touches a vCPU.
import { CR0, CR3_LAM_U48, CR3_LAM_U57, CR4, cr4Features, EFER, eferFeatures } from '../cpu/controls.ts';
import type { Capabilities } from '../model/capabilities.ts';
import type { Check } from './check.ts';

/** What the rows look at: registers whole, and the two bits of CS that long mode reads. */
export interface ControlState {
  readonly cr0: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
  readonly csLong: boolean;
  /** TR holds a 16-bit TSS. */
  readonly task16: boolean;
}
/** A change of them by software. */
export interface ControlChange {
  readonly before: ControlState;
  readonly after: ControlState;
}

const bit = (value: bigint, mask: number): boolean => (value & BigInt(mask)) !== 0n;
const isPaging = (state: ControlState): boolean => bit(state.cr0, CR0.PG);
const isLong = (state: ControlState): boolean => isPaging(state) && bit(state.efer, EFER.LME);

/** Whether every bit that is set is one that the model's features make writable. A clear bit asks nothing: the footprint then holds what mattered. */
function isWritable(value: bigint, rows: readonly (readonly [string, readonly string[]])[], bits: Readonly<Record<string, number>>, capability: Capabilities): boolean {
  let unknown = value;
  for (const [name, features] of rows) {
    const mask = BigInt(bits[name]!);
    if ((value & mask) === 0n) continue;
    if (features.length > 0 && !features.some((feature) => capability.has(feature))) return false;
    unknown &= ~mask;
  }
  return unknown === 0n;
}

/** Bits of CR3 above the physical address, which must be zero in long mode. Bit 63 is no part of CR3: MOV to CR3 takes it away. */
export const cr3Reserved = (capability: Capabilities): bigint => -1n << BigInt(capability.number('physical-address-bits')) & 0xffffffffffffffffn;

/** Every state that software may be in. */
export const controlChecks: readonly Check<ControlState>[] = [
  {
    id: 'cr0.high-bits', what: 'CR0 bits 63:32 are not zero.', reference: 'APM Vol. 2, 3.1.1',
    holds: ({ cr0 }) => cr0 >> 32n === 0n,
  },
  {
    id: 'cr0.not-write-through-without-cache-disable', what: 'CR0.NW is set and CR0.CD is clear.', reference: 'APM Vol. 2, 3.1.1 and 15.5.1',
    holds: ({ cr0 }) => !bit(cr0, CR0.NW) || bit(cr0, CR0.CD),
  },
  {
    id: 'cr0.paging-without-protection', what: 'CR0.PG is set and CR0.PE is clear.', reference: 'APM Vol. 2, 3.1.1',
    holds: (state) => !isPaging(state) || bit(state.cr0, CR0.PE),
  },
  {
    id: 'cr4.reserved', what: 'A CR4 bit is set that the processor does not have.', reference: 'APM Vol. 2, 3.1.3',
    holds: ({ cr4 }, capability) => isWritable(cr4, cr4Features, CR4, capability),
  },
  {
    id: 'efer.reserved', what: 'An EFER bit is set that the processor does not have.', reference: 'APM Vol. 2, 3.1.7',
    holds: ({ efer }, capability) => isWritable(efer, eferFeatures, EFER, capability),
  },
  {
    id: 'long.paging-without-pae', what: 'EFER.LME and CR0.PG are set and CR4.PAE is clear.', reference: 'APM Vol. 2, 14.6.1',
    holds: (state) => !isLong(state) || bit(state.cr4, CR4.PAE),
  },
  {
    id: 'cr4.pcide-outside-long-mode', what: 'CR4.PCIDE is set outside long mode.', reference: 'APM Vol. 2, 5.5.1; SDM Vol. 3, 4.10.1',
    holds: (state) => !bit(state.cr4, CR4.PCIDE) || isLong(state),
  },
  {
    id: 'cr4.cet-without-write-protect', what: 'CR4.CET is set and CR0.WP is clear.', reference: 'APM Vol. 2, 18.1; SDM Vol. 3, 2.5',
    holds: ({ cr0, cr4 }) => !bit(cr4, CR4.CET) || bit(cr0, CR0.WP),
  },
  {
    id: 'cr3.reserved', what: 'A CR3 bit above the physical address size is set in long mode.', reference: 'APM Vol. 2, 5.3.2',
    holds(state, capability) {
      const reserved = isLong(state) ? state.cr3 & cr3Reserved(capability) : 0n;
      return reserved === 0n || ((reserved & ~(CR3_LAM_U57 | CR3_LAM_U48)) === 0n && capability.has('lam'));
    },
  },
];

/** Every change that software may make. */
export const changeChecks: readonly Check<ControlChange>[] = [
  {
    id: 'efer.lme-while-paging', what: 'EFER.LME changes while paging is on.', reference: 'APM Vol. 2, 14.6.1; SDM Vol. 3, 9.8.5',
    holds: ({ before, after }) => !isPaging(before) || bit(before.efer, EFER.LME) === bit(after.efer, EFER.LME),
  },
  {
    id: 'cr4.pae-off-in-long-mode', what: 'CR4.PAE is cleared in long mode.', reference: 'APM Vol. 2, 14.6.1',
    holds: ({ before, after }) => !isLong(before) || !isPaging(after) || bit(after.cr4, CR4.PAE),
  },
  {
    id: 'cr4.la57-in-long-mode', what: 'CR4.LA57 changes in long mode.', reference: 'APM Vol. 2, 5.3.1; SDM Vol. 3, 4.1.2',
    holds: ({ before, after }) => !isLong(before) || bit(before.cr4, CR4.LA57) === bit(after.cr4, CR4.LA57),
  },
  {
    id: 'cr4.pcide-with-pcid', what: 'CR4.PCIDE is set while CR3 bits 11:0 are not zero.', reference: 'APM Vol. 2, 5.5.1; SDM Vol. 3, 4.10.1',
    holds: ({ before, after }) => bit(before.cr4, CR4.PCIDE) || !bit(after.cr4, CR4.PCIDE) || (after.cr3 & 0xfffn) === 0n,
  },
  {
    id: 'cr0.paging-on-in-64-bit-code', what: 'Paging is turned on with EFER.LME while CS.L is set.', reference: 'APM Vol. 2, 14.6.2',
    holds: ({ before, after }) => isPaging(before) || !isLong(after) || !after.csLong,
  },
  {
    id: 'cr0.paging-on-with-16-bit-task', what: 'Long mode is activated while TR holds a 16-bit TSS.', reference: 'SDM Vol. 2, "MOV (Control Registers)"',
    holds: ({ before, after }) => isPaging(before) || !isLong(after) || !after.task16,
  },
  {
    id: 'cr0.paging-off-in-64-bit-mode', what: 'Paging is turned off in 64-bit mode.', reference: 'APM Vol. 2, 14.7; SDM Vol. 2, "MOV (Control Registers)"',
    holds: ({ before, after }) => !isLong(before) || isPaging(after) || !before.csLong,
  },
];

// A kernel sets and clears the same bits again and again: the last legal changes are kept with who was asked about them. The same question
// has the same answer, so nobody can tell.
const KEPT = 4;
const legal: { readonly change: ControlChange; readonly capability: Capabilities }[] = [];
let oldest = 0;

const isSame = (one: ControlState, other: ControlState): boolean =>
  one.cr0 === other.cr0 && one.cr3 === other.cr3 && one.cr4 === other.cr4 && one.efer === other.efer && one.csLong === other.csLong && one.task16 === other.task16;

/** The first row that a change breaks. */
export function brokenCheck(change: ControlChange, capability: Capabilities): Check<ControlChange> | Check<ControlState> | undefined {
  for (const known of legal) {
    if (known.capability === capability && capability.onAsk === undefined && isSame(known.change.after, change.after) && isSame(known.change.before, change.before)) return undefined;
  }
  const broken = changeChecks.find((check) => !check.holds(change, capability)) ?? controlChecks.find((check) => !check.holds(change.after, capability));
  if (broken === undefined) {
    legal[oldest] = { change, capability };
    oldest = (oldest + 1) % KEPT;
  }
  return broken;
}

// ── XCR0 ──

/** What XSETBV looks at: the new value, and the components that CPUID leaf 0DH says the processor has. */
export interface ExtendedControl { readonly xcr0: bigint; readonly supported: bigint }
const together = (value: bigint, mask: bigint): boolean => (value & mask) === 0n || (value & mask) === mask;

export const xcr0Checks: readonly Check<ExtendedControl>[] = [
  { id: 'xcr0.x87', what: 'XCR0 bit 0 (x87) is clear.', reference: 'APM Vol. 2, 11.5.2', holds: ({ xcr0 }) => (xcr0 & 1n) !== 0n },
  { id: 'xcr0.unsupported', what: 'A component that the processor does not have is enabled.', reference: 'APM Vol. 4, "XSETBV"', holds: ({ xcr0, supported }) => (xcr0 & ~supported) === 0n },
  { id: 'xcr0.avx-without-sse', what: 'AVX state is enabled without SSE state.', reference: 'APM Vol. 4, "XSETBV"', holds: ({ xcr0 }) => (xcr0 & 4n) === 0n || (xcr0 & 2n) !== 0n },
  { id: 'xcr0.mpx', what: 'BNDREGS and BNDCSR are not enabled together.', reference: 'SDM Vol. 1, 13.3', holds: ({ xcr0 }) => together(xcr0, 0x18n) },
  { id: 'xcr0.avx512', what: 'The three AVX-512 states are not enabled together, or without AVX.', reference: 'SDM Vol. 1, 13.3', holds: ({ xcr0 }) => together(xcr0, 0xe0n) && ((xcr0 & 0xe0n) === 0n || (xcr0 & 4n) !== 0n) },
  { id: 'xcr0.amx', what: 'The two tile states are not enabled together.', reference: 'SDM Vol. 1, 13.3', holds: ({ xcr0 }) => together(xcr0, 0x60000n) },
];
