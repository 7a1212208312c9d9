// VMCALL and VMMCALL outside nested guests: what KVM does for a guest that calls it (Documentation/virt/kvm/x86/hypercalls.rst). The
// instruction of the model's own maker works; the other one is undefined. The system table calls these.
import { Done } from '../cpu/engine.ts';
import type { Instruction } from '../isa/instruction.ts';
import type { Machine } from './machine.ts';
import { invalidOpcode, retire } from './operand.ts';

/** Calls that need nothing done here: vCPUs take turns, so none has to be kicked or yielded to. */
const VAPIC_POLL_IRQ = 1n, KICK_CPU = 5n, SEND_IPI = 10n, SCHED_YIELD = 11n;
const ENOSYS = -1000n, EPERM = -1n;

export function hypercall(machine: Machine, instruction: Instruction): Done {
  const { cpu, capability } = machine;
  const isIntel = capability.vendor !== 'AuthenticAMD' && capability.vendor !== 'HygonGenuine';
  if ((instruction.mnemonic === 'VMCALL') !== isIntel) throw invalidOpcode();
  cpu.rax = BigInt.asUintN(64, cpu.cpl !== 0 ? EPERM : answer(cpu.rax, cpu.rdx));
  retire(cpu);
  return Done.next;
}

/** `lowestId` is the APIC ID at which the destinations of SEND_IPI begin: beyond the last one nobody is reached. */
function answer(call: bigint, lowestId: bigint): bigint {
  switch (call) {
    case VAPIC_POLL_IRQ: case KICK_CPU: case SCHED_YIELD: return 0n;
    case SEND_IPI: return lowestId > 0xfffn ? 0n : ENOSYS;
    default: return ENOSYS;
  }
}
