// RSM: the state comes back from the save area, whatever the handler made of it. Every illegal state is a row; one that does not hold is a
// shutdown (APM Vol. 2, 10.3.5; SDM Vol. 3, 34.5). `vm/run.ts` calls this for RSM inside SMM; outside the instruction is undefined.
import { CR0, CR4, DR6, DR6_FIXED, DR7_FIXED, DR7_WRITABLE, EFER } from '../../cpu/controls.ts';
import { AC, ARITHMETIC, DF, flagFields, ID, IF, IOPL, NT, RF, TF, VIF, VIP, VM } from '../../cpu/flags.ts';
import { Activity, Attribute, Smm } from '../../cpu/state.ts';
import type { Draft, VcpuState } from '../../cpu/vcpu-state.ts';
import type { Capabilities } from '../../model/capabilities.ts';
import { evaluateChecks, type Check, type CheckResult } from '../check.ts';
import { controlChecks, type ControlState } from '../controls.ts';
import { wordsIn } from '../outcome.ts';
import type { Context, ReadonlyMemory, TransitionOutcome } from '../outcome.ts';
import { areaChecks, entryOf } from '../svm/checks.ts';
import { usesNestedPaging } from '../svm/enter.ts';
import { Control, CONTROL_SIZE, HOST_WORD, NESTED_WORD, SAVE, Save, VMCB_SIZE } from '../svm/vmcb.ts';
import { exitsGuest, layoutOf } from './enter.ts';
import { areaOf, attributesOf, highOf, loadRegisters, SAVE_AREA, SAVE_AREA_SIZE, scalarOf, wideOf, type SaveArea, type SaveLayout, type Scalar } from './save-area.ts';

/** A nested guest to go back to. */
export interface ResumedGuest {
  /** Its VMCB, or undefined where none can be read. */
  readonly vmcb: Uint32Array | undefined;
  /** The host's state-save area: in the vCPU, or where KVM put it; undefined where that cannot be read. */
  readonly host: Readonly<Uint32Array> | undefined;
}

/** What the rows look at: the state that would be loaded. */
export interface ResumedState {
  /** The save area says that a nested guest was running. */
  readonly guest?: ResumedGuest;
  readonly control: ControlState;
  readonly csAttributes: number;
  readonly dr6: bigint;
  readonly dr7: bigint;
  readonly rflags: number;
  readonly smbase: number;
  /** The pointers that PAE paging would load; empty otherwise. */
  readonly pointers: readonly bigint[];
}

const FLAGS = ARITHMETIC | TF | IF | DF | IOPL | NT | RF | VM | AC | VIF | VIP | ID;
/** What `pendingDebug` may hold: B3:B0, BLD, BD, BS, BT, RTM. */
const PENDING_CAUSES = 0x1e80fn;
const bit = (value: bigint, mask: number): boolean => (value & BigInt(mask)) !== 0n;
const isLong = ({ cr0, efer }: ControlState): boolean => bit(cr0, CR0.PG) && bit(efer, EFER.LME);

/** Rows of control registers keep their ids: what MOV CR, WRMSR and VMRUN refuse by the same row is the same row here. */
export const resumeChecks: readonly Check<ResumedState>[] = [
  ...controlChecks.map((check): Check<ResumedState> => ({ ...check, holds: ({ control }, capability) => check.holds(control, capability) })),
  {
    id: 'rsm.code-long-and-big', what: 'EFER.LME, CR0.PG, CR4.PAE, CS.L and CS.D are all set.', reference: 'APM Vol. 2, 10.3.5 and 15.5.1',
    holds: ({ control, csAttributes }) =>
      !isLong(control) || !bit(control.cr4, CR4.PAE) || (csAttributes & (Attribute.long | Attribute.big)) !== (Attribute.long | Attribute.big),
  },
  {
    id: 'rsm.virtual-8086-in-long-mode', what: 'RFLAGS.VM is set in long mode.', reference: 'APM Vol. 2, 1.3.1: long mode has no virtual-8086 mode; Bochs shuts down as well',
    holds: ({ control, rflags }) => !isLong(control) || (rflags & VM) === 0,
  },
  { id: 'rsm.dr6-high-bits', what: 'DR6 bits 63:32 are not zero.', reference: 'APM Vol. 2, 13.1.1.2 and 15.5.1', holds: ({ dr6 }) => dr6 >> 32n === 0n },
  { id: 'rsm.dr7-high-bits', what: 'DR7 bits 63:32 are not zero.', reference: 'APM Vol. 2, 13.1.1.3 and 15.5.1', holds: ({ dr7 }) => dr7 >> 32n === 0n },
  {
    id: 'rsm.page-directory-pointers', what: 'A present PAE page-directory pointer has a reserved bit set.', reference: 'APM Vol. 2, 5.2.3; SDM Vol. 3, 4.4.1',
    holds: ({ pointers }, capability) => pointers.every((pointer) => (pointer & 1n) === 0n || (pointer & reservedOfPointer(capability)) === 0n),
  },
  {
    id: 'rsm.guest-without-svme', what: 'The SVM guest flag is set and EFER.SVME is clear.', reference: 'APM Vol. 2, 15.5.1; KVM, svm_leave_smm()',
    holds: ({ guest, control }) => guest === undefined || bit(control.efer, EFER.SVME),
  },
  {
    id: 'rsm.guest-vmcb', what: 'The VMCB address is not a multiple of 4 KiB, or there is no memory.', reference: 'APM Vol. 2, 15.5.1; KVM, svm_leave_smm()',
    holds: ({ guest }) => guest === undefined || guest.vmcb !== undefined,
  },
  {
    id: 'rsm.host-save-area', what: 'There is no memory at VM_HSAVE_PA, where the state of the host is looked for.', reference: 'KVM, svm_leave_smm()',
    holds: ({ guest }) => guest === undefined || guest.host !== undefined,
  },
  {
    id: 'rsm.smbase-misaligned', what: 'SMBASE is not a multiple of 32 KiB.', reference: 'SDM Vol. 3, 34.11 (Intel486 and Pentium only)',
    holds: ({ smbase }, capability) => (smbase & 0x7fff) === 0 || capability.behaviour('smm.smbase-alignment') === 'any',
  },
];

const reservedOfPointer = (capability: Capabilities): bigint =>
  0x1e6n | -1n << BigInt(capability.number('physical-address-bits')) & 0xffffffffffffffffn;

/** An area, and how it is to be read. */
interface Saved { readonly area: SaveArea; readonly layout: SaveLayout }

export function resumeFromSmm(before: VcpuState, _event: object, { memory, outside = memory, capability }: Context): TransitionOutcome {
  // A hole reads as ones.
  const bytes = memory.readBytes(before.smbase + SAVE_AREA, SAVE_AREA_SIZE) ?? new Uint8Array(SAVE_AREA_SIZE).fill(0xff);
  const saved: Saved = { area: areaOf(bytes), layout: layoutOf(capability) };
  const guest = guestToResume(before, saved, outside, capability), pointers = pagePointers(saved, guest, outside, capability);
  const { state, checks, entersGuest: enters } = checked(saved, guest, pointers, capability);
  const leave = (draft: Draft): void => {
    unblock(draft, before, saved, capability);
    if (enters) enterGuest(draft, guest!, saved, capability);
  };
  if (checks.some(({ passed }) => !passed)) {
    // The shutdown is the nested guest's where there is one: its hypervisor may intercept it.
    const after = enters ? before.copy() : undefined;
    if (after !== undefined) leave(after);
    return { after: after ?? before, writes: [], checks, flush: 'all', stop: 'shutdown', detail: { smbase: before.smbase, rip: before.rip, toGuest: enters } };
  }
  const after = before.copy();
  loadRegisters(saved.layout, saved.area, after.words);
  correct(after, state, capability);
  restart(after, saved, capability);
  leave(after);
  return { after, writes: [], checks, flush: 'all', detail: { smbase: after.smbase, rip: after.rip, halted: after.activity === Activity.halted, toGuest: enters } };
}

// ── What the rows are asked ──

const NO_POINTERS: readonly bigint[] = [];

/** The pointers that PAE paging loads with CR3. With nested paging they are read at each walk (APM Vol. 2, 15.25.10). */
function pagePointers({ area, layout }: Saved, guest: ResumedGuest | undefined, outside: ReadonlyMemory, capability: Capabilities): readonly bigint[] {
  const low = (name: Scalar): number => scalarOf(area, layout, name);
  if ((low('cr0') & CR0.PG) === 0 || (low('cr4') & CR4.PAE) === 0 || (low('efer') & EFER.LME) !== 0) return NO_POINTERS;
  if (guest?.vmcb !== undefined && usesNestedPaging(guest.vmcb, capability)) return NO_POINTERS;
  const place = (low('cr3') & ~31) >>> 0;
  return [0, 8, 16, 24].map((offset) => outside.read64(place + offset) ?? 0xffffffffffffffffn);
}

function stateToResume({ area, layout }: Saved, guest: ResumedGuest | undefined, pointers: readonly bigint[]): ResumedState {
  const wide = (name: Scalar): bigint => wideOf(area, layout, name), csAttributes = attributesOf(area, layout, 'cs');
  const control: ControlState = {
    // "LMA follows LME and PG": what the area says of it is not looked at.
    cr0: wide('cr0'), cr3: wide('cr3'), cr4: wide('cr4'), efer: wide('efer') & ~BigInt(EFER.LMA), csLong: (csAttributes & Attribute.long) !== 0,
    task16: (attributesOf(area, layout, 'tr') & 8) === 0,
  };
  return {
    control, csAttributes, dr6: wide('dr6'), dr7: wide('dr7'), rflags: scalarOf(area, layout, 'rflags') & FLAGS, smbase: scalarOf(area, layout, 'smbase'), pointers,
    ...(guest === undefined ? {} : { guest }),
  };
}

/** What the rows read of an area. */
const READ = ['cr0', 'cr3', 'cr4', 'efer', 'dr6', 'dr7', 'rflags', 'smbase'] as const satisfies readonly Scalar[];
interface Checked {
  readonly state: ResumedState;
  /** Of the state, and of the control area of a nested guest. */
  readonly checks: readonly CheckResult[];
  readonly entersGuest: boolean;
}
// An SMI comes again and again in the same few states: the last answers are kept with what they were given for. The same words give the same
// answers, so nobody can tell.
const lastWords = new Uint32Array(2 * READ.length + 3), lastControl = new Uint32Array(CONTROL_SIZE >> 2);
let lastDoor: Capabilities | undefined, lastChecked: Checked | undefined;

function checked(saved: Saved, guest: ResumedGuest | undefined, pointers: readonly bigint[], capability: Capabilities): Checked {
  const { area, layout } = saved, kept = pointers.length === 0;
  let same = kept && lastDoor === capability && capability.onAsk === undefined && lastChecked !== undefined;
  const put = (words: Uint32Array, index: number, value: number): void => {
    if (words[index] === value >>> 0) return;
    words[index] = value;
    same = false;
  };
  for (let index = 0; index < READ.length; index++) {
    put(lastWords, 2 * index, scalarOf(area, layout, READ[index]!));
    put(lastWords, 2 * index + 1, highOf(area, layout, READ[index]!));
  }
  put(lastWords, 2 * READ.length, attributesOf(area, layout, 'cs'));
  put(lastWords, 2 * READ.length + 1, attributesOf(area, layout, 'tr'));
  put(lastWords, 2 * READ.length + 2, guest === undefined ? 0 : 1 | (guest.vmcb === undefined ? 0 : 2) | (guest.host === undefined ? 0 : 4) | (isHostPaging(guest) ? 8 : 0));
  if (guest?.vmcb !== undefined) for (let index = 0; index < lastControl.length; index++) put(lastControl, index, guest.vmcb[index]!);
  if (same) return lastChecked!;
  lastDoor = kept ? capability : undefined;
  return lastChecked = check(stateToResume(saved, guest, pointers), capability);
}

function check(state: ResumedState, capability: Capabilities): Checked {
  const { guest, control } = state, own = evaluateChecks(resumeChecks, state, capability), nested = guestChecksOf(guest, capability);
  const entersGuest = guest?.vmcb !== undefined && guest.host !== undefined && bit(control.efer, EFER.SVME) && nested.every(({ passed }) => passed);
  return { state, checks: [...own, ...nested], entersGuest };
}

// ── Back to a nested guest ──

function guestToResume(before: VcpuState, { area, layout }: Saved, outside: ReadonlyMemory, capability: Capabilities): ResumedGuest | undefined {
  if ((scalarOf(area, layout, 'svmGuest') & 1) === 0) return undefined;
  const vmcb = readWords(wideOf(area, layout, 'svmVmcb'), VMCB_SIZE, outside);
  if (!exitsGuest(capability)) return { vmcb, host: before.words.subarray(HOST_WORD, HOST_WORD + (VMCB_SIZE - SAVE >> 2)) };
  return { vmcb, host: readWords(before.vmHsavePa, VMCB_SIZE, outside)?.subarray(SAVE >> 2) };
}

function readWords(address: bigint, length: number, memory: ReadonlyMemory): Uint32Array | undefined {
  const bytes = (address & 0xfffn) !== 0n || address >> 52n !== 0n ? undefined : memory.readBytes(Number(address), length);
  return bytes === undefined ? undefined : wordsIn(bytes);
}

const isHostPaging = ({ host }: ResumedGuest): boolean => host !== undefined && (host[Save.cr0 >> 2]! & CR0.PG) !== 0;

/** The rows that VMRUN makes of the control area. What was injected at VMRUN is no part of it any more. */
function guestChecksOf(guest: ResumedGuest | undefined, capability: Capabilities): readonly CheckResult[] {
  if (guest?.vmcb === undefined || guest.host === undefined || capability.behaviour('smm.rsm-nested-checks') === 'none') return [];
  return evaluateChecks(areaChecks, { ...entryOf(guest.vmcb, isHostPaging(guest)), event: 0 }, capability);
}

/** The guest runs under the controls that its VMCB has now, without the event that VMRUN injected. By the manual the virtual interrupt is that
 * of the save area, and the host's state never left the processor. */
function enterGuest(draft: Draft, { vmcb, host }: ResumedGuest, { area, layout }: Saved, capability: Capabilities): void {
  const { words } = draft;
  words.set(vmcb!.subarray(0, CONTROL_SIZE >> 2), NESTED_WORD);
  words[NESTED_WORD + (Control.eventInjection >> 2)] = 0;
  words[NESTED_WORD + (Control.eventInjection >> 2) + 1] = 0;
  draft.guestMode = 1;
  draft.vmcbAddress = wideOf(area, layout, 'svmVmcb');
  if (exitsGuest(capability)) {
    words.set(host!, HOST_WORD);
    draft.cr2 = BigInt(vmcb![(SAVE + Save.cr2 >> 2) + 1]!) << 32n | BigInt(vmcb![SAVE + Save.cr2 >> 2]!);
    draft.gif = 1;
  } else {
    words[NESTED_WORD + (Control.interrupt >> 2)] = scalarOf(area, layout, 'svmVirtualInterrupt');
    words[NESTED_WORD + (Control.interrupt >> 2) + 1] = highOf(area, layout, 'svmVirtualInterrupt');
  }
}

// ── The state ──

/** What the area has otherwise than the vCPU. */
function correct(draft: Draft, { control, dr6, dr7, rflags, pointers }: ResumedState, capability: Capabilities): void {
  const activeLow = BigInt((capability.has('rtm') ? DR6.RTM : 0) | (capability.has('bus-lock-detect') ? DR6.BLD : 0));
  const { flagResult, flagCarries, rflagsSystem } = flagFields(rflags);
  draft.cr0 = (draft.cr0 | CR0.ET) >>> 0;
  draft.efer = control.efer | (isLong(control) ? BigInt(EFER.LMA) : 0n);
  draft.dr6 = dr6 & (0xe00fn | activeLow) | BigInt(DR6_FIXED) & ~activeLow;
  draft.dr7 = dr7 & BigInt(DR7_WRITABLE) | BigInt(DR7_FIXED);
  draft.flagResult = flagResult;
  draft.flagCarries = flagCarries;
  draft.rflagsSystem = rflagsSystem;
  draft.pendingDebug &= PENDING_CAUSES;
  // The DPL of SS, as everywhere that a state is loaded whole.
  draft.cpl = !bit(control.cr0, CR0.PE) ? 0 : (rflags & VM) !== 0 ? 3 : draft.ss.attributes >>> Attribute.dplShift & 3;
  if (pointers.length !== 0) [draft.pdpte0, draft.pdpte1, draft.pdpte2, draft.pdpte3] = pointers as [bigint, bigint, bigint, bigint];
}

/** What the handler may ask for: the I/O instruction again, the HLT again (APM Vol. 2, 10.2.5 and 10.2.6). */
function restart(draft: Draft, { area, layout }: Saved, capability: Capabilities): void {
  const halts = (scalarOf(area, layout, 'autoHalt') & 1) !== 0 && capability.behaviour('smm.auto-halt-restart') === 'restart';
  draft.activity = halts ? Activity.halted : Activity.running;
  if (scalarOf(area, layout, 'ioRestart') === 0 || capability.behaviour('smm.io-restart') !== 'restart') return;
  draft.rip = wideOf(area, layout, 'ioRestartRip');
  draft.rcx = wideOf(area, layout, 'ioRestartRcx');
  draft.rsi = wideOf(area, layout, 'ioRestartRsi');
  draft.rdi = wideOf(area, layout, 'ioRestartRdi');
}

/** Out of system-management mode: NMIs are blocked as they were before the SMI (SDM Vol. 3, 34.8). */
function unblock(draft: Draft, before: VcpuState, { area, layout }: Saved, capability: Capabilities): void {
  const shadow = scalarOf(area, layout, 'interruptShadow') & 3;
  draft.smm = 0;
  draft.nmiBlocked = (before.smm & Smm.nmiWasBlocked) !== 0 ? 1 : 0;
  draft.interruptShadow = shadow !== 0 && capability.behaviour('smm.interrupt-shadow') === 'saved' ? Math.min(shadow, 2) : 0;
}
