// How the active vCPU's linear addresses are translated, from its registers: the paging context, and when it has become another one. Called
// by `run.ts` after whatever may have changed it; the walks themselves are `memory/walk.ts`.
import { CR0, CR4, EFER } from '../cpu/controls.ts';
import { AC } from '../cpu/flags.ts';
import { placeOfMsr } from '../cpu/msrs.ts';
import { placeOf, placeOfArea, type Cpu } from '../cpu/state.ts';
import { NORMAL_SPACE, SMM_SPACE, type Ram } from '../memory/ram.ts';
import type { Tlb } from '../memory/tlb.ts';
import type { PagingContext, PagingModel } from '../memory/walk.ts';
import type { Capabilities } from '../model/capabilities.ts';
import { controlOf, hasNestedPaging } from '../system/nested.ts';
import { Control, Save } from '../transitions/svm/vmcb.ts';

const word = (name: Parameters<typeof placeOf>[0]): number => placeOf(name) >> 2;
const FLAGS = word('rflagsSystem'), CR0_WORD = word('cr0'), CR3_WORD = word('cr3'), CR4_WORD = word('cr4'), EFER_WORD = word('efer');
const GUEST_MODE = word('guestMode'), SMM = word('smm'), PKRU = word('pkru'), PKRS = placeOfMsr('pkrs') << 1, PDPTES = word('pdpte0'), VM_CR = word('vmCr');
const HOST_AREA = placeOfArea('hostSave');

/** VM_CR.DIS_A20M: "disables A20 masking" (APM Vol. 2, 15.30.1). */
const DIS_A20M = 4;
/** Whether a closed A20 gate masks what the vCPU accesses outside system-management mode; inside it masks nothing (see `Vm.setA20`). */
export const obeysA20 = (cpu: Cpu): boolean => (cpu.u32[VM_CR]! & DIS_A20M) === 0;

export interface PagingParts {
  readonly cpu: Cpu;
  readonly ram: Ram;
  readonly tlb: Tlb;
  readonly capability: Capabilities;
  readPhysical32(address: number): number;
  /** The A20 gate of the VM. */
  isA20Closed(): boolean;
  /** Linear addresses mean something else from now on: what `space` stands for. `known`: all that they meant there before still holds. */
  onChange(space: number, known: boolean): void;
}

export interface Paging {
  /** Looks whether the registers make another context, and enters it. */
  update(): void;
  /** RFLAGS.AC decides what SMAP lets through; many instructions change it. */
  noteAc(): void;
  /** Memory or registers were replaced from outside: nothing that was derived from them holds. */
  forget(): void;
}

export function createPaging({ cpu, ram, tlb, capability, readPhysical32, isA20Closed, onChange }: PagingParts): Paging {
  const { u32 } = cpu;
  const pdptes = new Uint32Array(8);
  const seen = new Uint32Array(20), nestedPointers = new Uint32Array(8);
  const model: PagingModel = {
    physicalAddressBits: () => capability.number('physical-address-bits'),
    pdpe1gb: () => capability.has('pdpe1gb'),
    pse36: () => capability.has('pse36'),
    reservesBit8: () => capability.vendor === 'AuthenticAMD' || capability.vendor === 'HygonGenuine',
  };

  const isNested = (): boolean => u32[GUEST_MODE] !== 0 && hasNestedPaging(cpu, capability);
  /** CR0, CR4 and EFER of the host, whose paging mode nested tables have (APM Vol. 2, 15.25.3). */
  const hostWord = (at: number): number => u32[HOST_AREA + at >> 2]!;

  function nestedContext(): PagingContext | undefined {
    if (!isNested()) return undefined;
    const cr4 = hostWord(Save.cr4), efer = hostWord(Save.efer), root = controlOf(cpu, Control.nestedCr3), rootHigh = controlOf(cpu, Control.nestedCr3 + 4);
    const levels = (efer & EFER.LMA) !== 0 ? (cr4 & CR4.LA57) !== 0 ? 5 : 4 : (cr4 & CR4.PAE) !== 0 ? 3 : 2;
    if (levels === 3) {
      for (let index = 0; index < 8; index++) nestedPointers[index] = readPhysical32(((root & ~31) >>> 0) + 4 * index);
    }
    return {
      levels, pdptes: nestedPointers, model, root: (root >>> 12) + rootHigh * 0x100000, pse: (cr4 & CR4.PSE) !== 0, nxe: (efer & EFER.NXE) !== 0, wp: true,
      // Every access is a user's; SMEP only makes fetches say so in the error code.
      smep: (cr4 & CR4.SMEP) !== 0, smap: false, ac: false, pke: false, pkru: 0, pks: false, pkrs: 0,
    };
  }

  function pagingContext(): PagingContext {
    const nested = nestedContext();
    const cr0 = u32[CR0_WORD]!, cr4 = u32[CR4_WORD]!, efer = u32[EFER_WORD]!, long = (efer & EFER.LMA) !== 0;
    const levels = (cr0 & CR0.PG) === 0 ? 0 : long ? (cr4 & CR4.LA57) !== 0 ? 5 : 4 : (cr4 & CR4.PAE) !== 0 ? 3 : 2;
    for (let index = 0; index < 8; index++) pdptes[index] = u32[PDPTES + index]!;
    if (nested !== undefined) pdptes[0] = u32[CR3_WORD]! & 0xfe0;
    return {
      levels, pdptes, model, nested,
      root: (u32[CR3_WORD]! >>> 12) + (levels > 3 ? (u32[CR3_WORD + 1]! & 0xfffff) * 0x100000 : 0),
      pse: (cr4 & CR4.PSE) !== 0, nxe: (efer & EFER.NXE) !== 0, wp: (cr0 & CR0.WP) !== 0,
      smep: (cr4 & CR4.SMEP) !== 0, smap: (cr4 & CR4.SMAP) !== 0, ac: (u32[FLAGS]! & AC) !== 0,
      pke: long && (cr4 & CR4.PKE) !== 0, pkru: u32[PKRU]!, pks: long && (cr4 & CR4.PKS) !== 0, pkrs: u32[PKRS]!,
    };
  }

  let changed = false;
  function note(index: number, value: number): void {
    if (seen[index] !== value >>> 0) changed = true;
    seen[index] = value;
  }
  /** The words that a context is made of, except RFLAGS.AC: true when one differs from last time. */
  function contextChanged(): boolean {
    changed = false;
    note(0, u32[CR0_WORD]! & (CR0.PG | CR0.WP));
    const nested = isNested();
    note(1, u32[CR3_WORD]! & (nested ? ~0x1f : ~0xfff));
    note(2, u32[CR3_WORD + 1]! & 0xfffff);
    note(3, u32[CR4_WORD]! & (CR4.PSE | CR4.PAE | CR4.LA57 | CR4.SMEP | CR4.SMAP | CR4.PKE | CR4.PKS));
    note(4, u32[EFER_WORD]! & (EFER.LMA | EFER.NXE));
    note(5, u32[PKRU]!);
    const pae = (seen[0]! & CR0.PG) !== 0 && (seen[3]! & CR4.PAE) !== 0 && (seen[4]! & EFER.LMA) === 0;
    for (let index = 0; index < 8; index++) note(6 + index, pae ? u32[PDPTES + index]! : 0);
    note(14, u32[SMM]! !== 0 ? 1 : isA20Closed() && obeysA20(cpu) ? 2 : 0);
    note(15, nested ? controlOf(cpu, Control.nestedCr3) & ~0x1f | 1 : 0);
    note(16, nested ? controlOf(cpu, Control.nestedCr3 + 4) : 0);
    note(17, nested ? hostWord(Save.cr4) : 0);
    note(18, nested ? hostWord(Save.efer) : 0);
    note(19, u32[PKRS]!);
    return changed;
  }

  let seenAc = 0;

  return {
    update() {
      if (!contextChanged()) return;
      ram.selectSpace(u32[SMM] === 0 ? NORMAL_SPACE : SMM_SPACE);
      ram.maskA20(seen[14] === 2);
      // Pointers of nested PAE tables are read from memory now, and follow from nothing that is compared.
      const paging = tlb.remembered(seen) ?? pagingContext(), known = tlb.setContext(paging, paging.nested?.levels === 3 ? undefined : seen);
      seenAc = u32[FLAGS]! & AC;
      onChange(tlb.number(), known);
    },
    noteAc() {
      if ((u32[FLAGS]! & AC) === seenAc) return;
      seenAc = u32[FLAGS]! & AC;
      if ((u32[CR4_WORD]! & CR4.SMAP) !== 0) tlb.setContextOfAc(pagingContext());
    },
    forget() {
      seen.fill(0xffffffff);
      tlb.dropAll();
    },
  };
}
