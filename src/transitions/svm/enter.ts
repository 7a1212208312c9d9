// VMRUN: the host's state is put aside, the control block is checked, and the guest's state takes the vCPU (APM Vol. 2, 15.5). `vm/run.ts`
// calls this when the instruction has passed its own tests; what is injected is delivered there, in the guest.
import { CR0, CR4, DR6_FIXED, DR7_FIXED, DR7_WRITABLE, EFER } from '../../cpu/controls.ts';
import { putRflags, rflagsOf, VM } from '../../cpu/flags.ts';
import { Activity, placeOf } from '../../cpu/state.ts';
import { wordOf, type VcpuState } from '../../cpu/vcpu-state.ts';
import type { Capabilities } from '../../model/capabilities.ts';
import { allHold, type CheckResult } from '../check.ts';
import { wordsIn } from '../outcome.ts';
import type { Context, ReadonlyMemory, TransitionOutcome } from '../outcome.ts';
import { checkEntry } from './checks.ts';
import {
  Control, Event, Exit, exitName, Extension, HOST_WORD, Intercept1, InterruptState, hasShadowStacks, loadBranches, loadControl, loadGuestOnly, loadShadowStacks, loadWorld, moveWide, NESTED_WORD,
  NP_ENABLE,
  SAVE, Save, saveBranches, saveShadowStacks, saveWorld,
  VirtualInterrupt, VMCB_SIZE, word64,
} from './vmcb.ts';

export interface Vmrun {
  /** rAX: where the VMCB is. */
  readonly address: number;
  /** Behind VMRUN: where the host goes on. */
  readonly nextRip: bigint;
}

const EFER_WORD = wordOf(placeOf('efer')), DR6_WORD = wordOf(placeOf('dr6')), DR7_WORD = wordOf(placeOf('dr7')), CR0_WORD = wordOf(placeOf('cr0'));
const PAT_WORD = wordOf(placeOf('pat')), VMCB_WORD = wordOf(placeOf('vmcbAddress')), CPL_WORD = wordOf(placeOf('cpl')), GIF_WORD = wordOf(placeOf('gif'));
const GUEST_MODE_WORD = wordOf(placeOf('guestMode')), ACTIVITY_WORD = wordOf(placeOf('activity')), SHADOW_WORD = wordOf(placeOf('interruptShadow'));
const PENDING_DEBUG_WORD = wordOf(placeOf('pendingDebug')), NMI_BLOCKED_WORD = wordOf(placeOf('nmiBlocked'));
/** rFLAGS that VMRUN loads: what exists. */
const FLAGS = 0x3f7fd5;
const FLAGS_FIXED = 2;
const NMI = 2, GP = 13;

export function enterGuest(before: VcpuState, { address, nextRip }: Vmrun, { memory, capability }: Context): TransitionOutcome {
  const bytes = memory.readBytes(address, VMCB_SIZE);
  if (bytes === undefined) return withoutMemory(before, address, capability);
  const vmcb = wordsIn(bytes);
  const checks = checkEntry(vmcb, (before.cr0 & CR0.PG) !== 0, capability);
  if (!allHold(checks)) return refuse(before, address, nextRip, bytes, checks, capability);
  const nestedPaging = usesNestedPaging(vmcb, capability);
  const pointers = pagePointers(vmcb, nestedPaging, memory);
  const late = lateChecks(vmcb, pointers, memory, capability);
  if (late !== NO_CHECKS && !allHold(late)) return refuse(before, address, nextRip, bytes, [...checks, ...late], capability);

  const after = before.copy(), { words } = after;
  // The host goes on behind VMRUN.
  after.rip = nextRip;
  putHostAside(words, before);
  if (recordsBranches(vmcb, capability)) {
    saveBranches(words, words, HOST_WORD);
    loadBranches(vmcb, SAVE >> 2, words);
  }
  if (movesShadowStacks(vmcb, SAVE >> 2, words, capability)) {
    saveShadowStacks(words, words, HOST_WORD);
    loadShadowStacks(vmcb, SAVE >> 2, words);
  }
  loadGuest(words, vmcb, capability);
  words[VMCB_WORD] = address;
  words[VMCB_WORD + 1] = address / 2 ** 32;
  if (pointers !== undefined) [after.pdpte0, after.pdpte1, after.pdpte2, after.pdpte3] = pointers as [bigint, bigint, bigint, bigint];
  if (nestedPaging) moveWide(vmcb, SAVE + Save.pat >> 2, words, PAT_WORD);
  const inject = injectionOf(vmcb), { rip } = after;
  return {
    after, writes: [], checks: late === NO_CHECKS ? checks : [...checks, ...late], flush: 'all', inject,
    detail: inject === undefined ? { vmcb: address, rip, nestedPaging } : { vmcb: address, rip, nestedPaging, inject: `${inject.type} ${inject.vector}` },
  };
}

export const usesNestedPaging = (vmcb: Readonly<Uint32Array>, capability: Capabilities, at = 0): boolean =>
  (vmcb[at + (Control.nestedControl >> 2)]! & NP_ENABLE) !== 0 && capability.has('npt');

/** S_CET, SSP and the table of interrupt stacks go with the world. */
export const movesShadowStacks = (area: Readonly<Uint32Array>, at: number, state: Readonly<Uint32Array>, capability: Capabilities): boolean =>
  hasShadowStacks(area, at, state) && capability.has('cet-ss');

/** LBR virtualization (APM Vol. 2, 15.23). Without it host and guest share DebugCtl and the branch records. */
export const recordsBranches = (vmcb: Readonly<Uint32Array>, capability: Capabilities, at = 0): boolean =>
  (vmcb[at + (Control.extensions >> 2)]! & Extension.branchRecords) !== 0 && capability.has('lbrv');

// ── The two worlds ──

function putHostAside(words: Uint32Array, before: VcpuState): void {
  saveWorld(words, words, HOST_WORD);
  words[HOST_WORD + (Save.rflags >> 2)] = rflagsOf(before);
  moveWide(words, PAT_WORD, words, HOST_WORD + (Save.pat >> 2));
}

function loadGuest(words: Uint32Array, vmcb: Uint32Array, capability: Capabilities): void {
  const save = SAVE >> 2;
  loadControl(vmcb, words);
  loadWorld(vmcb, save, words);
  loadGuestOnly(vmcb, save, words);
  const rflags = vmcb[save + (Save.rflags >> 2)]! & FLAGS | FLAGS_FIXED;
  putRflags(words, rflags);
  const cr0 = words[CR0_WORD]! | CR0.ET;
  words[CR0_WORD] = cr0;
  const long = (cr0 & CR0.PG) !== 0 && (words[EFER_WORD]! & EFER.LME) !== 0;
  words[EFER_WORD] = words[EFER_WORD]! & ~EFER.LMA | (long ? EFER.LMA : 0);
  words[DR6_WORD] = words[DR6_WORD]! & 0xe00f | DR6_FIXED;
  words[DR6_WORD + 1] = 0;
  words[DR7_WORD] = words[DR7_WORD]! & DR7_WRITABLE | DR7_FIXED;
  words[DR7_WORD + 1] = 0;
  // "CPL is forced to 0 in real mode and to 3 in virtual-8086 mode" (APM Vol. 2, 15.5.1).
  words[CPL_WORD] = (cr0 & CR0.PE) === 0 ? 0 : (rflags & VM) !== 0 ? 3 : vmcb[save + (Save.cpl >> 2)]! >>> 24 & 3;
  words[GIF_WORD] = 1;
  words[GUEST_MODE_WORD] = 1;
  words[ACTIVITY_WORD] = Activity.running;
  words[SHADOW_WORD] = (vmcb[Control.interruptState >> 2]! & InterruptState.shadow) !== 0 ? 1 : 0;
  words[PENDING_DEBUG_WORD] = 0;
  words[PENDING_DEBUG_WORD + 1] = 0;
  const event = vmcb[Control.eventInjection >> 2]!;
  if ((event & Event.valid) !== 0 && (event >>> Event.typeShift & 7) === Event.nmi) {
    // An injected NMI blocks NMIs as one that came: the virtual ones where those are enabled.
    if ((vmcb[Control.interrupt >> 2]! & VirtualInterrupt.nmiEnable) !== 0 && capability.has('vnmi')) words[NESTED_WORD + (Control.interrupt >> 2)]! |= VirtualInterrupt.nmiMask;
    else words[NMI_BLOCKED_WORD] = 1;
  }
}

// ── What needs more of memory than the VMCB ──

const NO_CHECKS: readonly CheckResult[] = [];
const PAE_POINTERS = 'vmrun.page-directory-pointers', BITMAP = 'vmrun.msrpm-unreadable';

/** The pointers that PAE paging loads with CR3; with nested paging they are read at each walk (APM Vol. 2, 15.25.10). */
function pagePointers(vmcb: Uint32Array, nestedPaging: boolean, memory: ReadonlyMemory): readonly bigint[] | undefined {
  const save = (at: number): number => vmcb[SAVE + at >> 2]!;
  if (nestedPaging || (save(Save.cr0) & CR0.PG) === 0 || (save(Save.cr4) & CR4.PAE) === 0 || (save(Save.efer) & EFER.LME) !== 0) return undefined;
  const place = (save(Save.cr3) & ~31) >>> 0;
  return [0, 8, 16, 24].map((offset) => memory.read64(place + offset) ?? 0xffffffffffffffffn);
}

/** The second kind of failure: the checks pass, and then CR3 or the MSR permissions map cannot be read. */
function lateChecks(vmcb: Uint32Array, pointers: readonly bigint[] | undefined, memory: ReadonlyMemory, capability: Capabilities): readonly CheckResult[] {
  const readsMap = (vmcb[Control.intercept1 >> 2]! >>> Intercept1.MSR & 1) !== 0;
  if (pointers === undefined && !readsMap) return NO_CHECKS;
  const results: CheckResult[] = [];
  if (pointers !== undefined) {
    const reserved = 0x1e6n | -1n << BigInt(capability.number('physical-address-bits')) & 0xffffffffffffffffn;
    results.push({ id: PAE_POINTERS, passed: pointers.every((pointer) => (pointer & 1n) === 0n || (pointer & reserved) === 0n) });
  }
  if (readsMap) {
    const map = Number(word64(vmcb, Control.msrpm >> 2) & ~0xfffn);
    results.push({ id: BITMAP, passed: memory.read32(map) !== undefined && memory.read32(map + 0x1000) !== undefined });
  }
  return results;
}

// ── Failures ──

/** VMEXIT_INVALID: the host goes on behind VMRUN, nothing of the guest is left, and GIF is 0 as after every #VMEXIT. */
function refuse(before: VcpuState, address: number, nextRip: bigint, bytes: Uint8Array, checks: readonly CheckResult[], capability: Capabilities): TransitionOutcome {
  const vmcb = new DataView(bytes.buffer, bytes.byteOffset);
  vmcb.setBigUint64(Control.exitCode, 0xffffffffffffffffn, true);
  vmcb.setBigUint64(Control.exitInfo1, 0n, true);
  vmcb.setBigUint64(Control.exitInfo2, 0n, true);
  endEvent(wordsIn(bytes), capability);
  const cleared = capability.behaviour('nsvm.vmrun-failure-gif') === 'cleared';
  return {
    after: before.with({ rip: nextRip, ...(cleared ? { gif: 0 } : {}) }), checks,
    writes: [{ physical: address + Control.exitCode, bytes: bytes.subarray(Control.exitCode, Control.eventError + 4) }],
    detail: { vmcb: address, exit: exitName(Exit.INVALID), rip: nextRip, gif: cleared ? 0 : before.gif },
  };
}

function withoutMemory(before: VcpuState, address: number, capability: Capabilities): TransitionOutcome {
  const base = { after: before, writes: [], checks: [], detail: { vmcb: address } };
  if (capability.behaviour('nsvm.vmcb-gpa-error') === 'emulation-failure') return { ...base, stop: 'internal-error' };
  return { ...base, fault: { vector: GP, errorCode: 0 } };
}

// ── Event injection ──

/** What #VMEXIT leaves in EVENTINJ. Nobody can tell where there is nothing. */
export function endEvent(vmcb: Uint32Array, capability: Capabilities): void {
  const at = Control.eventInjection >> 2;
  if ((vmcb[at]! | vmcb[at + 1]!) === 0) return;
  const way = capability.behaviour('nsvm.eventinj-cleared-on-exit');
  if (way === 'cleared') vmcb[at]! &= ~Event.valid;
  else if (way === 'zeroed') vmcb.fill(0, at, at + 2);
}

const types: Readonly<Record<number, NonNullable<TransitionOutcome['inject']>['type']>> = { [Event.external]: 'external', [Event.nmi]: 'nmi', [Event.exception]: 'exception', [Event.software]: 'software' };

/** A reserved type, where nobody checks it, injects nothing. */
function injectionOf(vmcb: Uint32Array): TransitionOutcome['inject'] {
  const event = vmcb[Control.eventInjection >> 2]!;
  if ((event & Event.valid) === 0) return undefined;
  const type = event >>> Event.typeShift & 7, name = types[type];
  if (name === undefined) return undefined;
  const hasError = (event & Event.hasError) !== 0 && type === Event.exception;
  // "If TYPE is 2 (NMI), the VECTOR field is ignored" (APM Vol. 2, 15.20).
  const vector = type === Event.nmi ? NMI : event & Event.vector;
  return { type: name, vector, ...(hasError ? { errorCode: vmcb[Control.eventError >> 2]! } : {}) };
}

