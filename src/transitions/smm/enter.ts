// SMI: the processor's state goes to the save area at SMBASE and the handler begins in something like real mode with 4 GiB segments (APM
// Vol. 2, 10.3.1 and table 10-2). `vm/run.ts` calls this when an SMI is due. What RSM needs back and the area has no architectural place
// for (NMI blocking) stays in the vCPU.
import { CR0, DR7_FIXED } from '../../cpu/controls.ts';
import { flagFields, rflagsOf } from '../../cpu/flags.ts';
import { Activity, Attribute, Smm, type Segment } from '../../cpu/state.ts';
import type { VcpuState } from '../../cpu/vcpu-state.ts';
import type { Capabilities } from '../../model/capabilities.ts';
import { wordsIn } from '../outcome.ts';
import type { Context, MemoryWrite, TransitionOutcome } from '../outcome.ts';
import { leaveGuest } from '../svm/exit.ts';
import { Control, Exit, exitName, HOST_WORD, NESTED_WORD, SAVE, Save, saveWorld, VMCB_SIZE } from '../svm/vmcb.ts';
import {
  amd64Layout, areaOf, HANDLER_OFFSET, IO_RESTART, ioTrapOf, legacyLayout, putScalar, putWide, SAVE_AREA, SAVE_AREA_SIZE, saveRegisters, type IoInstruction,
  type SaveArea, type SaveLayout, type Scalar,
} from './save-area.ts';

export interface Smi {
  /** The SMI came with this instruction, which is complete. */
  readonly io?: IoInstruction | undefined;
}

/** What the handler may rely on: CR0 bits that SMM clears. */
const CR0_CLEARED = CR0.PE | CR0.EM | CR0.TS | CR0.PG;
const DATA = Attribute.present | Attribute.notSystem | Attribute.writable | Attribute.accessed | Attribute.granularity;
const flat = (selector: number, base: bigint): Segment => ({ selector, base, limit: 0xffffffff, attributes: DATA });
const FLAT = flat(0, 0n), FLAGS_AT_START = flagFields(2);

const withIoRestart = (layout: SaveLayout): SaveLayout => ({ ...layout, revision: layout.revision | IO_RESTART });
const amd64WithIoRestart = withIoRestart(amd64Layout), legacyWithIoRestart = withIoRestart(legacyLayout);
/** Which map a processor has, and what its revision says. */
export function layoutOf(capability: Capabilities): SaveLayout {
  const restarts = capability.behaviour('smm.io-restart') === 'restart';
  if (capability.has('lm')) return restarts ? amd64WithIoRestart : amd64Layout;
  return restarts ? legacyWithIoRestart : legacyLayout;
}
/** Whether an SMI in a nested guest is a #VMEXIT and RSM a VMRUN, as in KVM. Only asked where one runs, or was running. */
export const exitsGuest = (capability: Capabilities): boolean => capability.behaviour('smm.rsm-to-l2') === 'kvm';

export function enterSmm(before: VcpuState, { io }: Smi, context: Context): TransitionOutcome {
  const { capability } = context, layout = layoutOf(capability), smbase = BigInt(before.smbase);
  const area = save(before, io, layout, capability);
  const exits = before.guestMode !== 0 && exitsGuest(capability), { world, writes } = exits ? putGuestAside(before, context) : { world: before, writes: [] };
  const after = world.copy();
  after.smm = Smm.active | (before.nmiBlocked !== 0 ? Smm.nmiWasBlocked : 0) | (before.guestMode !== 0 ? Smm.fromGuest : 0);
  after.nmiBlocked = 1;
  after.activity = Activity.running;
  after.interruptShadow = 0;
  after.pendingDebug = 0n;
  after.guestMode = 0;
  after.cpl = 0;
  after.flagResult = FLAGS_AT_START.flagResult;
  after.flagCarries = FLAGS_AT_START.flagCarries;
  after.rflagsSystem = FLAGS_AT_START.rflagsSystem;
  after.rip = HANDLER_OFFSET;
  after.cr0 = (after.cr0 & ~CR0_CLEARED) >>> 0;
  after.cr4 = 0n;
  after.efer = 0n;
  after.dr7 = BigInt(DR7_FIXED);
  // "Undocumented: IDT limit is set to zero on entry to SMM" (KVM; the handler has to make its own table anyway).
  after.idtrBase = 0n;
  after.idtrLimit = 0;
  after.cs = flat(before.smbase >>> 4 & 0xffff, smbase);
  after.es = after.ss = after.ds = after.fs = after.gs = FLAT;
  return {
    after, checks: [], flush: 'all',
    writes: [...writes, { physical: before.smbase + SAVE_AREA, bytes: area.u8, smram: true }],
    detail: {
      smbase: before.smbase, layout: layout.name, rip: before.rip, halted: before.activity === Activity.halted, fromGuest: before.guestMode !== 0,
      ...(exits ? { exit: exitName(Exit.SW) } : {}), ...(io === undefined ? {} : { port: io.port, input: io.isInput }),
    },
  };
}

function save(before: VcpuState, io: IoInstruction | undefined, layout: SaveLayout, capability: Capabilities): SaveArea {
  const area = areaOf(new Uint8Array(SAVE_AREA_SIZE)), { words } = before;
  const saves = (behaviour: string, value: string): boolean => capability.behaviour(behaviour) === value;
  saveRegisters(layout, words, area);
  putScalar(area, layout, 'rflags', rflagsOf(before));
  putScalar(area, layout, 'revision', layout.revision);
  if (before.activity === Activity.halted && saves('smm.auto-halt-restart', 'restart')) putScalar(area, layout, 'autoHalt', 1);
  if (before.interruptShadow !== 0 && saves('smm.interrupt-shadow', 'saved')) putScalar(area, layout, 'interruptShadow', before.interruptShadow);
  if ((layout.revision & IO_RESTART) !== 0) {
    const { rip, rcx, rsi, rdi } = io ?? before;
    putWide(area, layout, 'ioRestartRip', rip);
    putWide(area, layout, 'ioRestartRcx', rcx);
    putWide(area, layout, 'ioRestartRsi', rsi);
    putWide(area, layout, 'ioRestartRdi', rdi);
    if (io !== undefined) putScalar(area, layout, 'ioTrap', ioTrapOf(io));
  }
  if (before.guestMode !== 0) saveGuest(before, area, layout, exitsGuest(capability));
  return area;
}

/** "SVM state" of the area: nothing where no guest was running. KVM fills in the first two fields only. */
function saveGuest(before: VcpuState, area: SaveArea, layout: SaveLayout, onlyAddress: boolean): void {
  const { words } = before;
  putScalar(area, layout, 'svmGuest', 1);
  putWide(area, layout, 'svmVmcb', before.vmcbAddress);
  if (onlyAddress) return;
  const copy = (name: Scalar, base: number, at: number): void => putScalar(area, layout, name, words[base + (at >> 2)]!, words[base + (at >> 2) + 1]!);
  copy('svmVirtualInterrupt', NESTED_WORD, Control.interrupt);
  copy('svmNestedCr3', NESTED_WORD, Control.nestedCr3);
  copy('svmHostEfer', HOST_WORD, Save.efer);
  copy('svmHostCr4', HOST_WORD, Save.cr4);
  copy('svmHostCr0', HOST_WORD, Save.cr0);
  putWide(area, layout, 'svmGuestPat', before.pat);
}

/** KVM's way: a #VMEXIT that the hypervisor does not see, and the host's state in the host save area, where RSM looks for it. */
function putGuestAside(before: VcpuState, context: Context): { world: VcpuState; writes: readonly MemoryWrite[] } {
  const { after: world, writes } = leaveGuest(before, { code: Exit.SW, info1: 0n, info2: 0n, nextRip: 0n }, context);
  const physical = Number(before.vmHsavePa) + SAVE, bytes = context.memory.readBytes(physical, VMCB_SIZE - SAVE);
  if (bytes === undefined) return { world, writes };
  const host = wordsIn(bytes);
  saveWorld(world.words, host, 0);
  host[Save.rflags >> 2] = rflagsOf(world);
  host[(Save.rflags >> 2) + 1] = 0;
  bytes[Save.cpl] = 0;
  return { world, writes: [...writes, { physical, bytes }] };
}
