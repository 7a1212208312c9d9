// A vCPU in KVM's words. Registers are those of the vCPU file: asking a vCPU that is not active makes it active, which costs about as much
// as a turn. Created by `vm.ts`.
import { onPrototype } from '../cpu/accessors.ts';
import { Pending } from '../cpu/state.ts';
import { Errno } from '../vm/errno.ts';
import type { VirtualMachine } from '../vm/vm.ts';
import type { Vcpu } from './api.ts';
import { getRegs, getSregs, setRegs, setSregs } from './registers.ts';

export function vcpuOf(machine: VirtualMachine, id: number): Vcpu {
  const { cpu } = machine;
  /** Changes the active file, then lets the VM forget what it derived. */
  const change = (apply: () => void): void => {
    machine.activate(id);
    apply();
    machine.changed();
  };
  return onPrototype<Vcpu>({
    id,
    run: (until) => machine.run(id, until),
    getRegs() {
      machine.activate(id);
      return getRegs(cpu);
    },
    setRegs(regs) { change(() => { setRegs(cpu, regs); }); },
    getSregs() {
      machine.activate(id);
      return getSregs(cpu);
    },
    setSregs(sregs) { change(() => { setSregs(cpu, sregs, machine.readPhysical64); }); },
    getMsr(index) {
      machine.activate(id);
      return machine.readMsr(index);
    },
    setMsr(index, value) {
      machine.activate(id);
      machine.writeMsr(index, value);
    },
    translate: (linear) => machine.translate(id, linear),
    interrupt(vector) {
      if (!Number.isInteger(vector) || vector < 0 || vector > 255) throw new Errno('EINVAL', `there is no interrupt vector ${vector}`);
      machine.activate(id);
      if ((cpu.pending & Pending.interrupt) !== 0) throw new Errno('EEXIST', `interrupt ${cpu.pendingVector} is queued already`);
      cpu.pending |= Pending.interrupt;
      cpu.pendingVector = vector;
    },
    nmi() {
      machine.activate(id);
      cpu.pending |= Pending.nmi;
    },
    smi() {
      machine.activate(id);
      cpu.pending |= Pending.smi;
    },
    isRunnable: () => machine.isRunnable(id),
    get icount() { return machine.icount(id); },
    digest: () => machine.digest(id),
    saveState: () => machine.saveVcpu(id),
    loadState: (state) => { machine.loadVcpu(id, state); },
  });
}
