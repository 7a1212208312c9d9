// RSM: the state comes back from the save area, whatever the handler made of it. Every illegal state is a row; one that does not hold is a
// shutdown (APM Vol. 2, 10.3.5; SDM Vol. 3, 34.5). `vm/run.ts` calls this for RSM inside SMM; outside the instruction is undefined.
import { CR0, CR4, DR6, DR6_FIXED, DR7_FIXED, DR7_WRITABLE, EFER } from '../../cpu/controls.ts';
import { AC, ARITHMETIC, DF, flagFields, ID, IF, IOPL, NT, RF, TF, VIF, VIP, VM } from '../../cpu/flags.ts';
import { Activity, Attribute, Smm } from '../../cpu/state.ts';
import type { Changes, VcpuState } from '../../cpu/vcpu-state.ts';
import type { Capabilities } from '../../model/capabilities.ts';
import { evaluateChecks, type Check, type CheckResult } from '../check.ts';
import { controlChecks, type ControlState } from '../controls.ts';
import type { Context, ReadonlyMemory, TransitionOutcome } from '../outcome.ts';
import { areaChecks, entryOf } from '../svm/checks.ts';
import { usesNestedPaging } from '../svm/enter.ts';
import { Control, CONTROL_SIZE, HOST_WORD, Save, VMCB_SIZE } from '../svm/vmcb.ts';
import { layoutOf } from './enter.ts';
import { decodeSaveArea, SAVE_AREA, SAVE_AREA_SIZE, type SavedState } from './save-area.ts';

/** What the rows look at: the state that would be loaded. */
export interface ResumedState {
  /** The save area says that a nested guest was running: its VMCB, or undefined where none can be read. */
  readonly guest?: { readonly vmcb: Uint32Array | undefined };
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
    id: 'rsm.smbase-misaligned', what: 'SMBASE is not a multiple of 32 KiB.', reference: 'SDM Vol. 3, 34.11 (Intel486 and Pentium only)',
    holds: ({ smbase }, capability) => (smbase & 0x7fff) === 0 || capability.behaviour('smm.smbase-alignment') === 'any',
  },
];

const reservedOfPointer = (capability: Capabilities): bigint =>
  0x1e6n | -1n << BigInt(capability.number('physical-address-bits')) & 0xffffffffffffffffn;

export function resumeFromSmm(before: VcpuState, _event: object, { memory, outside = memory, capability }: Context): TransitionOutcome {
  // A hole reads as ones.
  const bytes = memory.readBytes(before.smbase + SAVE_AREA, SAVE_AREA_SIZE) ?? new Uint8Array(SAVE_AREA_SIZE).fill(0xff);
  const saved = decodeSaveArea(layoutOf(capability), bytes);
  const resumed = stateToResume(saved, outside, capability);
  const nested = guestChecksOf(before, resumed, capability), checks = [...evaluateChecks(resumeChecks, resumed, capability), ...nested];
  const guest = guestOf(saved, resumed, nested);
  if (checks.some(({ passed }) => !passed)) {
    // The shutdown is the nested guest's where there is one: its hypervisor may intercept it.
    const after = guest === undefined ? before : before.with({ ...guest, smm: 0 });
    return { after, writes: [], checks, flush: 'all', stop: 'shutdown', detail: { smbase: before.smbase, rip: before.rip, toGuest: guest !== undefined } };
  }
  const after = before.with({
    ...registers(saved), ...controls(resumed, capability), ...restarts(saved, capability), ...blocking(before, saved, capability), ...guest,
    es: saved.segments.es, cs: saved.segments.cs, ss: saved.segments.ss, ds: saved.segments.ds, fs: saved.segments.fs, gs: saved.segments.gs,
    ldtr: saved.segments.ldtr, tr: saved.segments.tr,
    gdtrBase: saved.gdtr.base, gdtrLimit: saved.gdtr.limit, idtrBase: saved.idtr.base, idtrLimit: saved.idtr.limit,
    cpl: privilegeOf(saved, resumed), smbase: resumed.smbase,
  });
  return {
    after, writes: [], checks, flush: 'all',
    detail: { smbase: after.smbase, rip: after.rip, halted: after.activity === Activity.halted, toGuest: guest !== undefined },
  };
}

// ── Back to a nested guest ──

/** The rows that VMRUN makes of the control area. What was injected at VMRUN is no part of it any more. */
function guestChecksOf(before: VcpuState, { guest }: ResumedState, capability: Capabilities): readonly CheckResult[] {
  if (guest?.vmcb === undefined || capability.behaviour('smm.rsm-nested-checks') === 'none') return [];
  const hostPaging = (before.words[HOST_WORD + (Save.cr0 >> 2)]! & CR0.PG) !== 0;
  return evaluateChecks(areaChecks, { ...entryOf(guest.vmcb, hostPaging), event: 0 }, capability);
}

/** The guest runs under the controls that its VMCB has now. The event that VMRUN injected is not injected again; the virtual interrupt is as
 * it was at the SMI. Host state never left the processor. */
function guestOf({ scalars }: SavedState, { guest, control: { efer } }: ResumedState, nested: readonly CheckResult[]): Changes | undefined {
  if (guest?.vmcb === undefined || !bit(efer, EFER.SVME) || nested.some(({ passed }) => !passed)) return undefined;
  const nestedControl = new Uint8Array(guest.vmcb.slice(0, CONTROL_SIZE >> 2).buffer), view = new DataView(nestedControl.buffer);
  view.setBigUint64(Control.interrupt, scalars.svmVirtualInterrupt, true);
  view.setBigUint64(Control.eventInjection, 0n, true);
  return { guestMode: 1, vmcbAddress: scalars.svmVmcb, nestedControl };
}

function readVmcb(address: bigint, memory: ReadonlyMemory): Uint32Array | undefined {
  const bytes = (address & 0xfffn) !== 0n || address >> 52n !== 0n ? undefined : memory.readBytes(Number(address), VMCB_SIZE);
  return bytes === undefined ? undefined : new Uint32Array(bytes.buffer);
}

// ── The state ──

function stateToResume({ scalars, segments }: SavedState, outside: ReadonlyMemory, capability: Capabilities): ResumedState {
  const { cr0, cr3, cr4, efer } = scalars;
  const control: ControlState = {
    // "LMA follows LME and PG": what the area says of it is not looked at.
    cr0, cr3, cr4, efer: efer & ~BigInt(EFER.LMA), csLong: (segments.cs.attributes & Attribute.long) !== 0, task16: (segments.tr.attributes & 8) === 0,
  };
  const vmcb = (scalars.svmGuest & 1n) !== 0n ? readVmcb(scalars.svmVmcb, outside) : undefined;
  // With nested paging the pointers are read at each walk (APM Vol. 2, 15.25.10).
  const pae = (vmcb === undefined || !usesNestedPaging(vmcb, capability)) && bit(cr0, CR0.PG) && !isLong(control) && bit(cr4, CR4.PAE);
  const pointer = (index: number): bigint => outside.read64(Number(cr3 & 0xffffffe0n) + 8 * index) ?? 0xffffffffffffffffn;
  return {
    control, csAttributes: segments.cs.attributes, dr6: scalars.dr6, dr7: scalars.dr7, rflags: Number(scalars.rflags & 0xffffffffn) & FLAGS,
    smbase: Number(scalars.smbase), pointers: pae ? [0, 1, 2, 3].map(pointer) : [],
    ...((scalars.svmGuest & 1n) !== 0n ? { guest: { vmcb } } : {}),
  };
}

function registers({ scalars: { rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15, rip, ssp } }: SavedState): Changes {
  return { rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15, rip, ssp };
}

function controls({ control, dr6, dr7, rflags, pointers }: ResumedState, capability: Capabilities): Changes {
  const activeLow = BigInt((capability.has('rtm') ? DR6.RTM : 0) | (capability.has('bus-lock-detect') ? DR6.BLD : 0));
  const [pdpte0, pdpte1, pdpte2, pdpte3] = pointers;
  return {
    cr0: Number(control.cr0) | CR0.ET, cr3: control.cr3, cr4: control.cr4, efer: control.efer | (isLong(control) ? BigInt(EFER.LMA) : 0n),
    dr6: dr6 & (0xe00fn | activeLow) | BigInt(DR6_FIXED) & ~activeLow, dr7: dr7 & BigInt(DR7_WRITABLE) | BigInt(DR7_FIXED), ...flagFields(rflags),
    ...(pdpte0 === undefined ? {} : { pdpte0, pdpte1: pdpte1!, pdpte2: pdpte2!, pdpte3: pdpte3! }),
  };
}

/** What the handler may ask for: the I/O instruction again, the HLT again (APM Vol. 2, 10.2.5 and 10.2.6). */
function restarts({ scalars }: SavedState, capability: Capabilities): Changes {
  const again = scalars.ioRestart !== 0n && capability.behaviour('smm.io-restart') === 'restart';
  const halts = (scalars.autoHalt & 1n) !== 0n && capability.behaviour('smm.auto-halt-restart') === 'restart';
  return {
    activity: halts ? Activity.halted : Activity.running,
    ...(again ? { rip: scalars.ioRestartRip, rcx: scalars.ioRestartRcx, rsi: scalars.ioRestartRsi, rdi: scalars.ioRestartRdi } : {}),
  };
}

/** NMIs are blocked as they were before the SMI (SDM Vol. 3, 34.8); a trap that waited then is due now. */
function blocking(before: VcpuState, { scalars }: SavedState, capability: Capabilities): Changes {
  const shadow = Number(scalars.interruptShadow & 3n);
  return {
    smm: 0, nmiBlocked: (before.smm & Smm.nmiWasBlocked) !== 0 ? 1 : 0, pendingDebug: scalars.pendingDebug & PENDING_CAUSES,
    interruptShadow: shadow !== 0 && capability.behaviour('smm.interrupt-shadow') === 'saved' ? Math.min(shadow, 2) : 0,
  };
}

/** The DPL of SS, as everywhere that a state is loaded whole. */
function privilegeOf({ segments }: SavedState, { control, rflags }: ResumedState): number {
  if (!bit(control.cr0, CR0.PE)) return 0;
  return (rflags & VM) !== 0 ? 3 : segments.ss.attributes >>> Attribute.dplShift & 3;
}
