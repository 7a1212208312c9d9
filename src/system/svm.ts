// The instructions of secure virtual machines: VMLOAD, VMSAVE, STGI, CLGI, INVLPGA, VMMCALL, and what VMRUN tests before the world switch (APM
// Vol. 2, 15.5 and 15.17; Vol. 3). The system table calls these when no intercept came first; `vm/run.ts` does the switch itself.
import type { Instruction } from '../isa/instruction.ts';
import { isProtected, isVirtual8086 } from '../cpu/controls.ts';
import { Done } from '../cpu/engine.ts';
import { PAGE_SIZE } from '../memory/addresses.ts';
import { placeOfGeneral, type FieldName } from '../cpu/state.ts';
import { attributesFromVmcb, attributesToVmcb, loadSaveFields, loadSaveSegments, SAVE, Save } from '../transitions/svm/vmcb.ts';
import { hypercall } from './hypercall.ts';
import { requireSvm } from './intercepts.ts';
import { EmulationFailure, type Machine } from './machine.ts';
import { hasVirtualSaveLoad, isGuest, setGlobalInterruptFlag } from './nested.ts';
import { canonicalBase, generalProtection, invalidOpcode, retire } from './operand.ts';
import { requirePrivilege0 } from './segment-load.ts';

const RAX = placeOfGeneral(0) >> 2;
/** rAX, which names a VMCB: #GP(0) when it is no page or lies above the physical address limit. */
function addressOf({ cpu, capability }: Machine, instruction: Instruction): number {
  const { u32 } = cpu, { addressSize } = instruction;
  const low = addressSize === 16 ? u32[RAX]! & 0xffff : u32[RAX]!, high = addressSize === 64 ? u32[RAX + 1]! : 0;
  if (low % PAGE_SIZE !== 0 || high >>> capability.number('physical-address-bits') - 32 !== 0) throw generalProtection();
  return high * 2 ** 32 + low;
}

/** The VMCB that VMRUN enters. */
export function prepareVmrun(machine: Machine, instruction: Instruction): number {
  requireSvm(machine);
  return addressOf(machine, instruction);
}

/** The same tests, and that memory is there. With virtual VMLOAD and VMSAVE a guest's address is one of its own. */
function blockOf(machine: Machine, instruction: Instruction, write: boolean): number {
  requireSvm(machine);
  const named = addressOf(machine, instruction);
  const address = hasVirtualSaveLoad(machine.cpu, machine.capability) ? machine.memory.nestedPhysical?.(named, write) ?? named : named;
  if (machine.memory.hasPhysical?.(address) === false) {
    if (machine.capability.behaviour('nsvm.vmcb-gpa-error') === 'emulation-failure') throw new EmulationFailure();
    throw generalProtection();
  }
  return address + SAVE;
}

type Wide = Extract<FieldName, (typeof loadSaveFields)[number][0]>;

export function loadState(machine: Machine, instruction: Instruction): Done {
  const { cpu, memory } = machine, area = blockOf(machine, instruction, false);
  for (const name of loadSaveSegments) {
    const first = memory.readPhysical32(area + Save[name]), segment = cpu[name];
    segment.selector = first & 0xffff;
    segment.attributes = attributesFromVmcb(first >>> 16);
    segment.limit = memory.readPhysical32(area + Save[name] + 4);
    // What is no address is made one: bits above those that exist repeat the highest (APM Vol. 3, "VMLOAD").
    segment.base = canonicalBase(machine, memory.readPhysical64(area + Save[name] + 8));
  }
  for (const [name, place] of loadSaveFields) cpu[name as Wide] = memory.readPhysical64(area + place);
  cpu.kernelGsBase = canonicalBase(machine, cpu.kernelGsBase);
  retire(cpu);
  return Done.moved;
}

export function saveState(machine: Machine, instruction: Instruction): Done {
  const { cpu, memory } = machine, area = blockOf(machine, instruction, true);
  for (const name of loadSaveSegments) {
    const segment = cpu[name];
    memory.writePhysical32(area + Save[name], (segment.selector & 0xffff | attributesToVmcb(segment.attributes) << 16) >>> 0);
    memory.writePhysical32(area + Save[name] + 4, segment.limit);
    memory.writePhysical64(area + Save[name] + 8, segment.base);
  }
  for (const [name, place] of loadSaveFields) memory.writePhysical64(area + place, cpu[name as Wide]);
  retire(cpu);
  return Done.moved;
}

export const setGlobalInterrupts = (on: boolean) => (machine: Machine): Done => {
  requireSvm(machine);
  setGlobalInterruptFlag(machine.cpu, machine.capability, on);
  retire(machine.cpu);
  return Done.attention;
};

/** Translations carry no ASID here and are never stale: nothing is left to do. */
export function invalidateGuestPage(machine: Machine): Done {
  const { cpu, capability } = machine;
  if (capability.behaviour('nsvm.invlpga-svme') === 'required') requireSvm(machine);
  else {
    if (!isProtected(cpu) || isVirtual8086(cpu)) throw invalidOpcode();
    requirePrivilege0(cpu);
  }
  retire(cpu);
  return Done.next;
}

/** VMMCALL that no hypervisor in the guest intercepts. */
export function callHypervisor(machine: Machine, instruction: Instruction): Done {
  if (isGuest(machine.cpu) && machine.capability.behaviour('nsvm.vmmcall-unintercepted') === 'undefined') throw invalidOpcode();
  return hypercall(machine, instruction);
}
