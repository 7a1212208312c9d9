// SMI: the processor's state goes to the save area at SMBASE and the handler begins in something like real mode with 4 GiB segments (APM
// Vol. 2, 10.3.1 and table 10-2). `vm/run.ts` calls this when an SMI is due. What RSM needs back and the area has no architectural place
// for (NMI blocking) stays in the vCPU.
import { CR0, DR7_FIXED } from '../../cpu/controls.ts';
import { flagFields, rflagsOf } from '../../cpu/flags.ts';
import { Activity, Attribute, segmentRegisters, Smm, type Segment, type SegmentRegister } from '../../cpu/state.ts';
import type { VcpuState } from '../../cpu/vcpu-state.ts';
import type { Capabilities } from '../../model/capabilities.ts';
import type { Context, TransitionOutcome } from '../outcome.ts';
import { Control, HOST_WORD, NESTED_WORD, Save, word64 } from '../svm/vmcb.ts';
import {
  amd64Layout, encodeSaveArea, HANDLER_OFFSET, ioTrapOf, IO_RESTART, legacyLayout, SAVE_AREA, type IoInstruction, type SaveLayout, type SavedState, type Scalar,
} from './save-area.ts';

export interface Smi {
  /** The SMI came with this instruction, which is complete. */
  readonly io?: IoInstruction | undefined;
}

/** What the handler may rely on: CR0 bits that SMM clears. */
const CR0_CLEARED = CR0.PE | CR0.EM | CR0.TS | CR0.PG;
const DATA = Attribute.present | Attribute.notSystem | Attribute.writable | Attribute.accessed | Attribute.granularity;
const flat = (selector: number, base: bigint): Segment => ({ selector, base, limit: 0xffffffff, attributes: DATA });

/** Which map a processor has, and what its revision says. */
export function layoutOf(capability: Capabilities): SaveLayout {
  const layout = capability.has('lm') ? amd64Layout : legacyLayout;
  return capability.behaviour('smm.io-restart') === 'restart' ? { ...layout, revision: layout.revision | IO_RESTART } : layout;
}

export function enterSmm(before: VcpuState, { io }: Smi, { capability }: Context): TransitionOutcome {
  const layout = layoutOf(capability), smbase = BigInt(before.smbase);
  const area = encodeSaveArea(layout, stateToSave(before, io, layout.revision, capability));
  const after = before.with({
    smm: Smm.active | (before.nmiBlocked !== 0 ? Smm.nmiWasBlocked : 0) | (before.guestMode !== 0 ? Smm.fromGuest : 0),
    nmiBlocked: 1, activity: Activity.running, interruptShadow: 0, pendingDebug: 0n, guestMode: 0, cpl: 0,
    ...flagFields(2), rip: HANDLER_OFFSET,
    cr0: (before.cr0 & ~CR0_CLEARED) >>> 0, cr4: 0n, efer: 0n, dr7: BigInt(DR7_FIXED),
    // "Undocumented: IDT limit is set to zero on entry to SMM" (KVM; the handler has to make its own table anyway).
    idtrBase: 0n, idtrLimit: 0,
    cs: flat(before.smbase >>> 4 & 0xffff, smbase),
    es: flat(0, 0n), ss: flat(0, 0n), ds: flat(0, 0n), fs: flat(0, 0n), gs: flat(0, 0n),
  });
  return {
    after, checks: [], flush: 'all',
    writes: [{ physical: before.smbase + SAVE_AREA, bytes: area, smram: true }],
    detail: {
      smbase: before.smbase, layout: layout.name, rip: before.rip, halted: before.activity === Activity.halted, fromGuest: before.guestMode !== 0,
      ...(io === undefined ? {} : { port: io.port, input: io.isInput }),
    },
  };
}

function stateToSave(before: VcpuState, io: IoInstruction | undefined, revision: number, capability: Capabilities): SavedState {
  const saves = (behaviour: string, value: string): boolean => capability.behaviour(behaviour) === value;
  const { rip, rcx, rsi, rdi } = io ?? before;
  const halted = before.activity === Activity.halted && saves('smm.auto-halt-restart', 'restart');
  const restarts = (revision & IO_RESTART) !== 0;
  const scalars: Record<Scalar, bigint> = {
    rax: before.rax, rcx: before.rcx, rdx: before.rdx, rbx: before.rbx, rsp: before.rsp, rbp: before.rbp, rsi: before.rsi, rdi: before.rdi,
    r8: before.r8, r9: before.r9, r10: before.r10, r11: before.r11, r12: before.r12, r13: before.r13, r14: before.r14, r15: before.r15,
    rip: before.rip, rflags: BigInt(rflagsOf(before) >>> 0),
    cr0: BigInt(before.cr0), cr3: before.cr3, cr4: before.cr4, efer: before.efer, dr6: before.dr6, dr7: before.dr7, ssp: before.ssp,
    revision: BigInt(revision), smbase: BigInt(before.smbase),
    autoHalt: halted ? 1n : 0n, ioRestart: 0n, ioTrap: restarts && io !== undefined ? BigInt(ioTrapOf(io)) : 0n,
    ioRestartRip: restarts ? rip : 0n, ioRestartRcx: restarts ? rcx : 0n, ioRestartRsi: restarts ? rsi : 0n, ioRestartRdi: restarts ? rdi : 0n,
    interruptShadow: before.interruptShadow !== 0 && saves('smm.interrupt-shadow', 'saved') ? BigInt(before.interruptShadow) : 0n,
    pendingDebug: before.pendingDebug,
    ...guestState(before),
  };
  const segments = {} as Record<SegmentRegister, Readonly<Segment>>;
  for (const name of segmentRegisters) segments[name] = before[name];
  return { scalars, segments, gdtr: { base: before.gdtrBase, limit: before.gdtrLimit }, idtr: { base: before.idtrBase, limit: before.idtrLimit } };
}

/** "SVM state" of the area: nothing when no guest was running. */
function guestState(before: VcpuState): Pick<Record<Scalar, bigint>, 'svmGuest' | 'svmVmcb' | 'svmVirtualInterrupt' | 'svmGuestPat' | 'svmHostEfer' | 'svmHostCr4' | 'svmNestedCr3' | 'svmHostCr0'> {
  if (before.guestMode === 0) {
    return { svmGuest: 0n, svmVmcb: 0n, svmVirtualInterrupt: 0n, svmGuestPat: 0n, svmHostEfer: 0n, svmHostCr4: 0n, svmNestedCr3: 0n, svmHostCr0: 0n };
  }
  const control = (at: number): bigint => word64(before.words, NESTED_WORD + (at >> 2)), host = (at: number): bigint => word64(before.words, HOST_WORD + (at >> 2));
  return {
    svmGuest: 1n, svmVmcb: before.vmcbAddress, svmVirtualInterrupt: control(Control.interrupt), svmGuestPat: before.pat,
    svmHostEfer: host(Save.efer), svmHostCr4: host(Save.cr4), svmHostCr0: host(Save.cr0),
    svmNestedCr3: control(Control.nestedCr3),
  };
}
