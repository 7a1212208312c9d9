// #VMEXIT: the guest's state and the reason go to the VMCB, and the host's state comes back (APM Vol. 2, 15.6). `vm/run.ts` calls this for
// every intercept; whether one applies was decided before.
import { CR0, CR4, DR6, DR7_FIXED, EFER } from '../../cpu/controls.ts';
import { putRflags, rflagsOf, TF } from '../../cpu/flags.ts';
import { Activity, placeOf } from '../../cpu/state.ts';
import { wordOf, type VcpuState } from '../../cpu/vcpu-state.ts';
import { putWide } from '../../cpu/wide.ts';
import type { Capabilities } from '../../model/capabilities.ts';
import { viewing, wordsIn } from '../outcome.ts';
import type { Context, TransitionOutcome } from '../outcome.ts';
import { endEvent, movesShadowStacks, recordsBranches, usesNestedPaging } from './enter.ts';
import {
  clearAreas, Control, Event, exitName, HOST_WORD, InterruptState, loadBranches, loadShadowStacks, loadWorld, moveWide, NESTED_WORD, SAVE, Save, saveBranches, saveGuestOnly, saveShadowStacks, saveWorld,
  VMCB_SIZE,
} from './vmcb.ts';

export interface Vmexit {
  /** EXITCODE, sign-extended to 64 bits. */
  readonly code: number;
  readonly info1: bigint;
  readonly info2: bigint;
  /** Behind the instruction that was intercepted; 0 for everything else. */
  readonly nextRip: bigint;
  /** EXITINTINFO: the event that was being delivered, or 0; and its error code. */
  readonly event?: number | undefined;
  readonly eventError?: number | undefined;
  /** Bytes at RIP, for page faults with decode assists. */
  readonly instruction?: Uint8Array | undefined;
}

/** What a #VMEXIT writes of the control area: V_TPR, V_IRQ and the rest of that word, the interrupt state, exit code and information. */
const WRITTEN_FROM = Control.interrupt;
const writtenOf = viewing((bytes: Uint8Array) => bytes.subarray(WRITTEN_FROM));
const CR0_WORD = wordOf(placeOf('cr0')), CR3_WORD = wordOf(placeOf('cr3')), CR4_WORD = wordOf(placeOf('cr4')), EFER_WORD = wordOf(placeOf('efer'));
const DR7_WORD = wordOf(placeOf('dr7')), PAT_WORD = wordOf(placeOf('pat')), VMCB_WORD = wordOf(placeOf('vmcbAddress'));
const CPL_WORD = wordOf(placeOf('cpl')), GIF_WORD = wordOf(placeOf('gif')), GUEST_MODE_WORD = wordOf(placeOf('guestMode')), ACTIVITY_WORD = wordOf(placeOf('activity'));
const SHADOW_WORD = wordOf(placeOf('interruptShadow')), PENDING_DEBUG_WORD = wordOf(placeOf('pendingDebug'));

export function leaveGuest(before: VcpuState, exit: Vmexit, { memory, capability }: Context): TransitionOutcome {
  const address = before.words[VMCB_WORD]! + before.words[VMCB_WORD + 1]! * 2 ** 32, nestedPaging = usesNestedPaging(before.words, capability, NESTED_WORD);
  const branches = recordsBranches(before.words, capability, NESTED_WORD);
  const { code, info1, info2 } = exit, { rip } = before, name = exitName(code);
  const detail = exit.event === undefined || exit.event === 0 ? { exit: name, code, vmcb: address, rip, info1, info2 }
    : { exit: name, code, vmcb: address, rip, info1, info2, delivering: exit.event & Event.vector };
  const bytes = memory.readBytes(address, VMCB_SIZE);
  // The VMCB has vanished while the guest ran: there is nowhere to save it to.
  if (bytes === undefined) return { after: before, writes: [], checks: [], stop: 'shutdown', detail };
  const vmcb = wordsIn(bytes);
  writeGuest(before, exit, vmcb, capability, nestedPaging);
  if (branches) saveBranches(before.words, vmcb, SAVE >> 2);
  if (movesShadowStacks(vmcb, SAVE >> 2, before.words, capability)) saveShadowStacks(before.words, vmcb, SAVE >> 2);
  if (exit.instruction !== undefined && exit.instruction.length > 0) {
    bytes[Control.instructionLength] = exit.instruction.length;
    bytes.fill(0, Control.instructionLength + 1, Control.instructionLength + 16);
    bytes.set(exit.instruction, Control.instructionLength + 1);
  }
  const after = loadHost(before, nestedPaging, branches, movesShadowStacks(before.words, HOST_WORD, before.words, capability));
  const pointers = pagePointers(after, memory.read64);
  const writes = [{ physical: address + WRITTEN_FROM, bytes: writtenOf(bytes) }];
  if (pointers === undefined) return { after, writes, checks: [], flush: 'all', detail };
  const [pdpte0, pdpte1, pdpte2, pdpte3] = pointers;
  if (pointers.some((pointer) => (pointer & 1n) !== 0n && (pointer & 0x1e6n) !== 0n)) return { after, writes, checks: [], stop: 'shutdown', detail };
  return { after: after.with({ pdpte0: pdpte0!, pdpte1: pdpte1!, pdpte2: pdpte2!, pdpte3: pdpte3! }), writes, checks: [], flush: 'all', detail };
}

function put(vmcb: Uint32Array, at: number, low: number, high = 0): void {
  vmcb[at >> 2] = low;
  vmcb[(at >> 2) + 1] = high;
}
function writeGuest(before: VcpuState, exit: Vmexit, vmcb: Uint32Array, capability: Capabilities, nestedPaging: boolean): void {
  const { words } = before, save = SAVE >> 2;
  saveWorld(words, vmcb, save);
  saveGuestOnly(words, vmcb, save);
  put(vmcb, SAVE + Save.rflags, rflagsOf(before));
  if (nestedPaging) moveWide(words, PAT_WORD, vmcb, SAVE + Save.pat >> 2);
  vmcb[Control.interrupt >> 2] = words[NESTED_WORD + (Control.interrupt >> 2)]!;
  put(vmcb, Control.interruptState, (before.interruptShadow !== 0 ? InterruptState.shadow : 0));
  put(vmcb, Control.exitCode, exit.code, exit.code < 0 ? -1 : 0);
  putWide(vmcb, Control.exitInfo1 >> 2, exit.info1);
  putWide(vmcb, Control.exitInfo2 >> 2, exit.info2);
  put(vmcb, Control.exitInterrupt, exit.event ?? 0, exit.eventError ?? 0);
  endEvent(vmcb, capability);
  putWide(vmcb, Control.nextRip >> 2, exit.nextRip);
  vmcb[Control.instructionLength >> 2] = 0;
}

/** The host as VMRUN put it aside: CPL 0, breakpoints off, GIF clear (APM Vol. 2, 15.6). */
function loadHost(before: VcpuState, nestedPaging: boolean, branches: boolean, shadowStacks: boolean): VcpuState {
  const after = before.copy(), { words } = after;
  loadWorld(words, HOST_WORD, words);
  const rflags = words[HOST_WORD + (Save.rflags >> 2)]!;
  putRflags(words, rflags);
  if (nestedPaging) moveWide(words, HOST_WORD + (Save.pat >> 2), words, PAT_WORD);
  if (branches) loadBranches(words, HOST_WORD, words);
  if (shadowStacks) loadShadowStacks(words, HOST_WORD, words);
  words[CR0_WORD]! |= CR0.PE;
  words[DR7_WORD] = DR7_FIXED;
  words[DR7_WORD + 1] = 0;
  words[CPL_WORD] = 0;
  words[GIF_WORD] = 0;
  words[GUEST_MODE_WORD] = 0;
  words[ACTIVITY_WORD] = Activity.running;
  words[SHADOW_WORD] = 0;
  // "Setting host RFLAGS.TF causes a #DB trap after the VMRUN completes on the host side" (APM Vol. 2, 15.5.1).
  words[PENDING_DEBUG_WORD] = (rflags & TF) !== 0 ? DR6.BS : 0;
  words[PENDING_DEBUG_WORD + 1] = 0;
  words[VMCB_WORD] = 0;
  words[VMCB_WORD + 1] = 0;
  clearAreas(words);
  return after;
}

function pagePointers({ words }: VcpuState, read64: (physical: number) => bigint | undefined): readonly bigint[] | undefined {
  if ((words[CR0_WORD]! & CR0.PG) === 0 || (words[CR4_WORD]! & CR4.PAE) === 0 || (words[EFER_WORD]! & EFER.LMA) !== 0) return undefined;
  const place = (words[CR3_WORD]! & ~31) >>> 0;
  return [0, 8, 16, 24].map((offset) => read64(place + offset) ?? 0xffffffffffffffffn);
}
