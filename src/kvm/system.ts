// /dev/kvm: makes VMs. Every client begins here; what a VM and a vCPU can do stands in `api.ts`.
import { createVirtualMachine } from '../vm/vm.ts';
import { vcpuOf } from './vcpu.ts';
import type { Kvm, Vcpu, Vm, VmConfig } from './api.ts';

export function createKvm(): Kvm {
  return { createVm };
}

function createVm(config: VmConfig): Vm {
  const machine = createVirtualMachine(config);
  const vcpus: Vcpu[] = [];
  const vm: Vm = {
    vcpus,
    createVcpu(id) {
      machine.createVcpu(id);
      const vcpu = vcpuOf(machine, id);
      vcpus.push(vcpu);
      return vcpu;
    },
    createIrqchip: machine.createIrqchip,
    setIrqLine: machine.setIrqLine,
    isA20Open: machine.isA20Open,
    setA20: machine.setA20,
    idle: machine.idle,
    getClock: machine.now,
    setUserMemoryRegion: machine.setMemoryRegion,
    readMemory: machine.readMemory,
    writeMemory: machine.writeMemory,
    ramSize: config.ramBytes,
    takeDirtyPages: machine.takeDirtyPages,
    memoryDigest: machine.memoryDigest,
    accessDigest: machine.accessDigest,
    ramPage: machine.ramPage,
    restoreRamPage: machine.restoreRamPage,
    saveVmState: machine.saveState,
    loadVmState: machine.loadState,
    listen(heard) {
      const { asked, delivery } = heard ?? {};
      machine.capability.onAsk = asked && ((capability, answer) => { asked(capability, answer, machine.retired()); });
      machine.onDelivery = delivery && ((vcpu, icount, kind, vector, errorCode, address, check) => { delivery({ vcpu, icount, kind, vector, errorCode, address, check }); });
    },
    footprint: () => [...machine.capability.footprint()].map(([capability, { answer, firstIcount }]) => ({ capability, answer, firstIcount })),
  };
  machine.onTransition = (vcpu, icount, { kind, level, smm, detail, checks }) => vm.onTransition?.({ vcpu, icount, kind, level, smm, detail, checks });
  return vm;
}
