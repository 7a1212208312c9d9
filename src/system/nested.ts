// What a nested guest's control block says while the guest runs, read from and written to its copy in the vCPU file. System instructions, the run
// loop and the interrupt rules ask here; the copy's layout is the VMCB's (APM Vol. 2, appendix B).
import { placeOf, placeOfArea, VCPU_FILE, type Cpu, type FieldName } from '../cpu/state.ts';
import { IF } from '../cpu/flags.ts';
import type { Capabilities } from '../model/capabilities.ts';
import { Control, Extension, Intercept1, NP_ENABLE, Save, VirtualInterrupt } from '../transitions/svm/vmcb.ts';

const GUEST_MODE = placeOf('guestMode') >> 2;
const CONTROL = placeOfArea('nestedControl') >> 2;
const V_INTR = CONTROL + (Control.interrupt >> 2);

export const isGuest = (cpu: Cpu): boolean => cpu.u32[GUEST_MODE] !== 0;
/** A word of the control block. */
export const controlOf = (cpu: Cpu, offset: number): number => cpu.u32[CONTROL + (offset >> 2)]!;
export const setControl = (cpu: Cpu, offset: number, value: number): void => { cpu.u32[CONTROL + (offset >> 2)] = value; };
export const control64Of = (cpu: Cpu, offset: number): bigint => cpu.u64[CONTROL + (offset >> 2) >> 1]!;

export const isIntercepted = (cpu: Cpu, word: number, bit: number): boolean => (controlOf(cpu, word) >>> bit & 1) !== 0;
/** Whether the guest that runs has nested paging: only asked in guest mode. */
export const hasNestedPaging = (cpu: Cpu, capability: Capabilities): boolean =>
  isGuest(cpu) && (controlOf(cpu, Control.nestedControl) & NP_ENABLE) !== 0 && capability.has('npt');

/** VMLOAD and VMSAVE of the guest take its own physical addresses: "not considered unless nested paging is enabled" (APM Vol. 2, 15.33.1). */
export const hasVirtualSaveLoad = (cpu: Cpu, capability: Capabilities): boolean =>
  isGuest(cpu) && (controlOf(cpu, Control.extensions) & Extension.saveLoad) !== 0 && capability.has('v-vmsave-vmload') && hasNestedPaging(cpu, capability);

// ── V_INTR ──

export const virtualInterrupt = (cpu: Cpu): number => cpu.u32[V_INTR]!;
export function setVirtualInterrupt(cpu: Cpu, clear: number, set: number): void {
  cpu.u32[V_INTR] = cpu.u32[V_INTR]! & ~clear | set;
}

/** With V_INTR_MASKING the guest's CR8 is V_TPR; else it is the processor's. */
const masksTaskPriority = (cpu: Cpu): boolean => isGuest(cpu) && (virtualInterrupt(cpu) & VirtualInterrupt.masking) !== 0;
export const taskPriority = (cpu: Cpu): number => masksTaskPriority(cpu) ? virtualInterrupt(cpu) & VirtualInterrupt.tpr : cpu.cr8;
export function setTaskPriority(cpu: Cpu, value: number): void {
  if (masksTaskPriority(cpu)) setVirtualInterrupt(cpu, VirtualInterrupt.tpr, value);
  else cpu.cr8 = value;
}

/** Virtual NMIs are enabled for the guest that runs. */
export const hasVirtualNmi = (cpu: Cpu, capability: Capabilities): boolean =>
  isGuest(cpu) && (virtualInterrupt(cpu) & VirtualInterrupt.nmiEnable) !== 0 && capability.has('vnmi');
const hasVirtualGif = (cpu: Cpu, capability: Capabilities): boolean =>
  isGuest(cpu) && (virtualInterrupt(cpu) & VirtualInterrupt.gifEnable) !== 0 && capability.has('vgif');

/** STGI and CLGI work on V_GIF where the guest has one (APM Vol. 2, 15.33.1). */
export function setGlobalInterruptFlag(cpu: Cpu, capability: Capabilities, on: boolean): void {
  if (hasVirtualGif(cpu, capability)) setVirtualInterrupt(cpu, VirtualInterrupt.gif, on ? VirtualInterrupt.gif : 0);
  else cpu.gif = on ? 1 : 0;
}
const guestGif = (cpu: Cpu, capability: Capabilities): boolean =>
  hasVirtualGif(cpu, capability) ? (virtualInterrupt(cpu) & VirtualInterrupt.gif) !== 0 : cpu.gif !== 0;

/** IRET ends the blocking of NMIs: of the virtual ones where the guest has them. */
export function unblockNmi(cpu: Cpu, capability: Capabilities): void {
  if (hasVirtualNmi(cpu, capability)) setVirtualInterrupt(cpu, VirtualInterrupt.nmiMask, 0);
  else cpu.nmiBlocked = 0;
}

/** A virtual interrupt waits and its priority is above V_TPR, and nothing but the shadow could hold it back (APM Vol. 2, 15.21.4). */
export function isVirtualInterruptDue(cpu: Cpu, capability: Capabilities): boolean {
  const word = virtualInterrupt(cpu);
  if ((word & VirtualInterrupt.irq) === 0 || (cpu.rflagsSystem & IF) === 0 || !guestGif(cpu, capability)) return false;
  return isAboveTaskPriority(word);
}
export function isVirtualNmiDue(cpu: Cpu, capability: Capabilities): boolean {
  const word = virtualInterrupt(cpu);
  return (word & (VirtualInterrupt.nmi | VirtualInterrupt.nmiMask)) === VirtualInterrupt.nmi && hasVirtualNmi(cpu, capability) && guestGif(cpu, capability);
}

// ── Physical events, also of a vCPU that is not active: `words` hold its file from word `base` on ──

const wordOf = (name: FieldName): number => placeOf(name) - VCPU_FILE >> 2;
const GIF = wordOf('gif'), GUEST = wordOf('guestMode'), FLAGS = wordOf('rflagsSystem'), NMI_BLOCKED = wordOf('nmiBlocked');
const CONTROL_WORD = placeOfArea('nestedControl') - VCPU_FILE >> 2, HOST_FLAGS = placeOfArea('hostSave') - VCPU_FILE + Save.rflags >> 2;
const INTERRUPT_WORD = CONTROL_WORD + (Control.interrupt >> 2), INTERCEPT_WORD = CONTROL_WORD + (Control.intercept1 >> 2);

/** Whether an external interrupt would be taken, the shadow apart: by the host's IF when the guest's does not count (APM Vol. 2, 15.21.1). */
export function acceptsInterrupt(words: Uint32Array, base: number): boolean {
  if (words[base + GIF] === 0) return false;
  const masked = words[base + GUEST] !== 0 && (words[base + INTERRUPT_WORD]! & VirtualInterrupt.masking) !== 0;
  return (words[base + (masked ? HOST_FLAGS : FLAGS)]! & IF) !== 0;
}
/** The same for an NMI. An intercept comes before the blocking. */
export function acceptsNmi(words: Uint32Array, base: number): boolean {
  if (words[base + GIF] === 0) return false;
  return words[base + NMI_BLOCKED] === 0 || (words[base + GUEST] !== 0 && (words[base + INTERCEPT_WORD]! >>> Intercept1.NMI & 1) !== 0);
}
/** A sleeping vCPU may have something virtual to do: it looks for itself. */
export function hasVirtualEvent(words: Uint32Array, base: number): boolean {
  const word = words[base + INTERRUPT_WORD]!;
  if (words[base + GUEST] === 0 || ((word & VirtualInterrupt.gifEnable) !== 0 ? (word & VirtualInterrupt.gif) === 0 : words[base + GIF] === 0)) return false;
  if ((word & (VirtualInterrupt.nmiEnable | VirtualInterrupt.nmi | VirtualInterrupt.nmiMask)) === (VirtualInterrupt.nmiEnable | VirtualInterrupt.nmi)) return true;
  return (word & VirtualInterrupt.irq) !== 0 && (words[base + FLAGS]! & IF) !== 0 && isAboveTaskPriority(word);
}
const isAboveTaskPriority = (word: number): boolean =>
  (word & VirtualInterrupt.ignoreTpr) !== 0 || (word & VirtualInterrupt.priority) >>> VirtualInterrupt.priorityShift > (word & VirtualInterrupt.tpr);
