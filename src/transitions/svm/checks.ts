// The consistency checks of VMRUN, as rows (APM Vol. 2, 15.5.1 and 15.20): what is illegal, where the manual says so, which capabilities and
// behaviours decide. `enter.ts` evaluates them; an entry for which one does not hold ends at once with VMEXIT_INVALID.
import { CR0, CR4, EFER } from '../../cpu/controls.ts';
import { Attribute } from '../../cpu/state.ts';
import type { Capabilities } from '../../model/capabilities.ts';
import type { VectorNumber } from '../../model/vectors.ts';
import { evaluateChecks, type Check, type CheckResult } from '../check.ts';
import { controlChecks, type ControlState } from '../controls.ts';
import { Control, Event, Intercept1, Intercept2, NP_ENABLE, SAVE, Save, VirtualInterrupt } from './vmcb.ts';

/** What the rows look at. */
export interface Entry {
  /** Of the guest; LMA is left out. */
  readonly control: ControlState;
  readonly csAttributes: number;
  readonly dr6: bigint;
  readonly dr7: bigint;
  readonly intercept1: number;
  readonly intercept2: number;
  readonly iopm: bigint;
  readonly msrpm: bigint;
  readonly asid: number;
  readonly tlbControl: number;
  readonly interrupt: number;
  readonly nestedPaging: boolean;
  readonly nestedCr3: bigint;
  readonly event: number;
  /** Of the host, at VMRUN. */
  readonly hostPaging: boolean;
}

const bit = (value: bigint, mask: number): boolean => (value & BigInt(mask)) !== 0n;
const isPaging = ({ cr0 }: ControlState): boolean => bit(cr0, CR0.PG);
const isLong = (state: ControlState): boolean => isPaging(state) && bit(state.efer, EFER.LME);
const limitOf = (capability: Capabilities): bigint => 1n << BigInt(capability.number('physical-address-bits'));
/** Whether `size` bytes from the page that `address` lies in are below the physical address limit. */
const fits = (address: bigint, size: bigint, capability: Capabilities): boolean => (address & ~0xfffn) + size <= limitOf(capability);
const IOPM_SIZE = 0x3000n, MSRPM_SIZE = 0x2000n;

// ── EVENTINJ ──

/** Whether an exception of this vector can be injected: on every processor, on none, or on those with a feature. Every vector has its
 * decision here, or nothing compiles. 28 and 30 are accepted as KVM accepts them, whatever the processor has. */
export const injectable = {
  0: 'always', 1: 'always', 2: 'never', 3: 'always', 4: 'always', 5: 'always', 6: 'always', 7: 'always', 8: 'always', 9: 'never',
  10: 'always', 11: 'always', 12: 'always', 13: 'always', 14: 'always', 15: 'never', 16: 'always', 17: 'always', 18: 'always', 19: 'always',
  20: 'never', 21: 'cet-ss', 22: 'never', 23: 'never', 24: 'never', 25: 'never', 26: 'never', 27: 'never', 28: 'always', 29: 'sev-es', 30: 'always', 31: 'never',
} as const satisfies Record<VectorNumber, 'always' | 'never' | 'cet-ss' | 'sev-es'>;

const OVERFLOW = 4, BOUND = 5;
/** INTO and BOUND do not exist in 64-bit mode, so their exceptions cannot happen there. */
const cannotHappen = (vector: number, in64Bit: boolean): boolean => in64Bit && (vector === OVERFLOW || vector === BOUND);

/** A mask of bits, the same for every processor: what the first version of the patch meant. */
const FIXED = 0x702f7dfb;
/** The same as it was posted: vector numbers where bits were meant (`NMI_VECTOR | BIT(9) | …` as the set of what is refused), so that #DB is
 * refused and NMI is not. */
const POSTED_REFUSED = (2 | 1 << 9 | 1 << 15 | 1 << 20 | 0x3f << 22 | 1 << 31) >>> 0;

function isException(vector: number, in64Bit: boolean, capability: Capabilities): boolean {
  const way = capability.behaviour('nsvm.eventinj-vectors');
  if (way === 'unchecked') return true;
  if (vector > 31) return false;
  if (way === 'fixed-list') return (FIXED >>> vector & 1) !== 0;
  if (way === 'fixed-list-as-posted') return (POSTED_REFUSED >>> vector & 1) === 0;
  const decision = injectable[vector as VectorNumber];
  if (decision === 'never' || (way === 'architectural' && cannotHappen(vector, in64Bit))) return false;
  return decision === 'always' || capability.has(decision);
}

const typeOf = (event: number): number => event >>> Event.typeShift & 7;
const isValid = (event: number): boolean => (event & Event.valid) !== 0;
const is64Bit = ({ control }: Entry): boolean => isLong(control) && control.csLong;

// ── The rows ──

const shared = (id: string): Check<Entry> => {
  const check = controlChecks.find((candidate) => candidate.id === id)!;
  return { ...check, holds: ({ control }, capability) => check.holds(control, capability) };
};
const consistencyIsChecked = (capability: Capabilities): boolean => capability.behaviour('nsvm.consistency-cs-efer') === 'checked';

/** The state-save area. Rows of control registers keep the ids that MOV CR, WRMSR and RSM know them by. */
export const stateChecks: readonly Check<Entry>[] = [
  {
    id: 'vmrun.efer.svme-clear', what: 'EFER.SVME of the guest is clear.', reference: 'APM Vol. 2, 15.5.1',
    holds: ({ control }) => bit(control.efer, EFER.SVME),
  },
  shared('cr0.not-write-through-without-cache-disable'),
  shared('cr0.high-bits'),
  {
    id: 'vmrun.cr3.reserved', what: 'A CR3 bit above the physical address size is set.', reference: 'APM Vol. 2, 15.5.1: any MBZ bit of CR3',
    holds: ({ control }, capability) => control.cr3 < limitOf(capability),
  },
  shared('cr4.reserved'),
  shared('cr4.cet-without-write-protect'),
  { id: 'vmrun.dr6.high-bits', what: 'DR6 bits 63:32 are not zero.', reference: 'APM Vol. 2, 15.5.1', holds: ({ dr6 }) => dr6 >> 32n === 0n },
  { id: 'vmrun.dr7.high-bits', what: 'DR7 bits 63:32 are not zero.', reference: 'APM Vol. 2, 15.5.1', holds: ({ dr7 }) => dr7 >> 32n === 0n },
  shared('efer.reserved'),
  {
    id: 'vmrun.efer.long-mode-absent', what: 'EFER.LME or LMA is set on a processor without long mode.', reference: 'APM Vol. 2, 15.5.1',
    holds: ({ control }, capability) => !bit(control.efer, EFER.LME) || capability.has('lm'),
  },
  shared('long.paging-without-pae'),
  {
    id: 'vmrun.long.paging-without-protection', what: 'EFER.LME and CR0.PG are set and CR0.PE is clear.', reference: 'APM Vol. 2, 15.5.1',
    holds: ({ control }) => !isLong(control) || bit(control.cr0, CR0.PE),
  },
  {
    id: 'vmrun.long.code-long-and-big', what: 'EFER.LME, CR0.PG, CR4.PAE, CS.L and CS.D are all set.', reference: 'APM Vol. 2, 15.5.1',
    holds: ({ control, csAttributes }, capability) =>
      !isLong(control) || !bit(control.cr4, CR4.PAE) || (csAttributes & (Attribute.long | Attribute.big)) !== (Attribute.long | Attribute.big)
      || !consistencyIsChecked(capability),
  },
];

/** The control area. */
export const areaChecks: readonly Check<Entry>[] = [
  {
    id: 'vmrun.intercept-clear', what: 'The VMRUN intercept is clear.', reference: 'APM Vol. 2, 15.5.1',
    holds: ({ intercept2 }) => (intercept2 >>> Intercept2.VMRUN & 1) !== 0,
  },
  { id: 'vmrun.asid-zero', what: 'The ASID is 0.', reference: 'APM Vol. 2, 15.5.1', holds: ({ asid }) => asid !== 0 },
  {
    id: 'vmrun.iopm-address', what: 'The I/O permissions map reaches above the physical address limit.', reference: 'APM Vol. 2, 15.5.1 and 15.10.1',
    holds: ({ iopm }, capability) => fits(iopm, IOPM_SIZE, capability),
  },
  {
    id: 'vmrun.msrpm-address', what: 'The MSR permissions map reaches above the physical address limit.', reference: 'APM Vol. 2, 15.5.1 and 15.11',
    holds: ({ msrpm }, capability) => fits(msrpm, MSRPM_SIZE, capability),
  },
  {
    id: 'vmrun.nested-paging-without-host-paging', what: 'NP_ENABLE is set while the host does not use paging.', reference: 'APM Vol. 2, 15.25.3',
    holds: ({ nestedPaging, hostPaging }, capability) => !nestedPaging || hostPaging || !capability.has('npt'),
  },
  {
    id: 'vmrun.nested-paging-absent', what: 'NP_ENABLE is set on a processor without nested paging.',
    reference: 'KVM before 7.1; dropped as not architectural by e0b6f031d64c',
    holds: ({ nestedPaging }, capability) => !nestedPaging || capability.has('npt') || capability.behaviour('nsvm.np-enable-check') === 'ignored',
  },
  {
    id: 'vmrun.nested-cr3', what: 'A bit of nCR3 above the physical address size is set.', reference: 'APM Vol. 2, 15.25.4; KVM since b71138fcc362',
    holds: ({ nestedPaging, nestedCr3 }, capability) =>
      !nestedPaging || !capability.has('npt') || nestedCr3 < limitOf(capability) || capability.behaviour('nsvm.ncr3-check') === 'unchecked',
  },
  {
    id: 'vmrun.tlb-control', what: 'TLB_CONTROL has a value that the processor does not know.', reference: 'APM Vol. 2, 15.16 and table 15-9',
    holds: ({ tlbControl }, capability) => tlbControl < 2 || ((tlbControl === 3 || tlbControl === 7) && capability.has('flushbyasid')),
  },
  {
    id: 'vmrun.event.type', what: 'EVENTINJ is valid and has a reserved type.', reference: 'APM Vol. 2, 15.20',
    holds: ({ event }, capability) => !isValid(event) || isKnownType(typeOf(event)) || capability.behaviour('nsvm.eventinj-vectors') === 'unchecked',
  },
  {
    id: 'vmrun.event.vector', what: 'EVENTINJ is valid and names as an exception a vector that is none here.', reference: 'APM Vol. 2, 15.20; KVM since 7e79f71bca5c',
    holds: (entry, capability) =>
      !isValid(entry.event) || typeOf(entry.event) !== Event.exception || isException(entry.event & Event.vector, is64Bit(entry), capability),
  },
  {
    id: 'vmrun.virtual-nmi-without-intercept', what: 'V_NMI_ENABLE is set and the NMI intercept is clear.', reference: 'APM Vol. 2, 15.21.10',
    holds: ({ interrupt, intercept1 }, capability) =>
      (interrupt & VirtualInterrupt.nmiEnable) === 0 || (intercept1 >>> Intercept1.NMI & 1) !== 0 || !capability.has('vnmi'),
  },
];
const isKnownType = (type: number): boolean => type === Event.external || type === Event.nmi || type === Event.exception || type === Event.software;

export const vmrunChecks: readonly Check<Entry>[] = [...areaChecks, ...stateChecks];

// ── From a VMCB to answers ──

/** Words of a VMCB that the rows read. */
const WORDS = [
  Control.intercept1, Control.intercept2, Control.iopm, Control.iopm + 4, Control.msrpm, Control.msrpm + 4, Control.asid, Control.tlbControl, Control.interrupt,
  Control.nestedControl, Control.nestedCr3, Control.nestedCr3 + 4, Control.eventInjection,
  ...[Save.efer, Save.cr4, Save.cr3, Save.cr0, Save.dr7, Save.dr6].flatMap((at) => [SAVE + at, SAVE + at + 4]), SAVE + Save.cs,
].map((at) => at >> 2);

const wide = (vmcb: Uint32Array, at: number): bigint => BigInt(vmcb[(at >> 2) + 1]!) << 32n | BigInt(vmcb[at >> 2]!);

export function entryOf(vmcb: Uint32Array, hostPaging: boolean): Entry {
  const save = (at: number): bigint => wide(vmcb, SAVE + at), word = (at: number): number => vmcb[at >> 2]!;
  const csAttributes = word(SAVE + Save.cs) >>> 16;
  return {
    control: {
      cr0: save(Save.cr0), cr3: save(Save.cr3), cr4: save(Save.cr4), efer: save(Save.efer) & ~BigInt(EFER.LMA), csLong: (csAttributes & Attribute.long) !== 0, task16: false,
    },
    csAttributes, dr6: save(Save.dr6), dr7: save(Save.dr7), intercept1: word(Control.intercept1), intercept2: word(Control.intercept2),
    iopm: wide(vmcb, Control.iopm), msrpm: wide(vmcb, Control.msrpm), asid: word(Control.asid), tlbControl: word(Control.tlbControl) & 0xff,
    interrupt: word(Control.interrupt), nestedPaging: (word(Control.nestedControl) & NP_ENABLE) !== 0, nestedCr3: wide(vmcb, Control.nestedCr3),
    event: word(Control.eventInjection), hostPaging,
  };
}

// A hypervisor enters the same guest again and again, and what the rows read hardly ever changes: the last answers are kept with what they
// were given for. The same words give the same answers, so nobody can tell; whoever listens at the capability door hears every question.
const lastWords = new Uint32Array(WORDS.length + 1);
let lastDoor: Capabilities | undefined, lastAnswers: readonly CheckResult[] = [];

export function checkEntry(vmcb: Uint32Array, hostPaging: boolean, capability: Capabilities): readonly CheckResult[] {
  let same = lastDoor === capability && capability.onAsk === undefined && lastWords[WORDS.length] === (hostPaging ? 1 : 0);
  for (let index = 0; index < WORDS.length; index++) {
    const word = vmcb[WORDS[index]!]!;
    if (lastWords[index] === word) continue;
    lastWords[index] = word;
    same = false;
  }
  if (same) return lastAnswers;
  lastWords[WORDS.length] = hostPaging ? 1 : 0;
  lastDoor = capability;
  return lastAnswers = evaluateChecks(vmrunChecks, entryOf(vmcb, hostPaging), capability);
}
