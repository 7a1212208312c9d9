// A VM without a processor: RAM as bytes, and vCPUs that "execute" a script of exits. Enough to drive a board and see what it answers.
import type { Regs, Sregs, Vcpu, VcpuExit, Vm } from '../../src/kvm/api.ts';

/** One step of a script: an exit, or a number of plain instructions. */
export type Step = VcpuExit | number;
export const out = (port: number, value: number, size: 1 | 2 | 4 = 1): VcpuExit =>
  ({ reason: 'IoOut', port, size, data: Uint8Array.from({ length: size }, (_, index) => (value >>> (8 * index)) & 0xff) });
export const input = (port: number, size: 1 | 2 | 4 = 1): VcpuExit & { data: Uint8Array } => ({ reason: 'IoIn', port, size, data: new Uint8Array(size) });
export const halt: VcpuExit = { reason: 'Hlt' };

export interface FakeVm extends Vm {
  readonly ram: Uint8Array;
  /** `vcpu:retired` in the order in which vCPUs ran. */
  readonly order: string[];
}

export function createFakeVm(ramBytes: number, scripts: readonly (readonly Step[])[] = [[]]): FakeVm {
  const ram = new Uint8Array(ramBytes);
  const order: string[] = [];
  const vcpus: Vcpu[] = [];
  let isA20Open = true;
  const vm = {
    ram, order, vcpus, ramSize: ramBytes,
    createVcpu: (id: number) => (vcpus[id] = createFakeVcpu(id, [...scripts[id] ?? []], order)),
    createIrqchip: () => undefined, setIrqLine: () => undefined, idle: () => false, getClock: () => Number(vcpus.reduce((sum, vcpu) => sum + vcpu.icount, 0n)),
    setUserMemoryRegion: () => undefined,
    isA20Open: () => isA20Open,
    setA20: (open: boolean) => { isA20Open = open; },
    readMemory: (address: number, length: number) => ram.slice(address, address + length),
    writeMemory: (address: number, bytes: Uint8Array) => {
      if (address + bytes.length > ram.length) throw new Error('outside RAM');
      ram.set(bytes, address);
    },
  };
  return vm as unknown as FakeVm;
}

function createFakeVcpu(id: number, script: Step[], order: string[]): Vcpu {
  let icount = 0n, answering = false, halted = false;
  let regs = {} as Regs, sregs = {} as Sregs;
  function run(until?: bigint): VcpuExit {
    const before = icount;
    const leave = (exit: VcpuExit): VcpuExit => {
      if (icount > before) order.push(`${id}:${icount - before}`);
      return exit;
    };
    for (;;) {
      if (until !== undefined && icount >= until) return leave({ reason: 'Intr' });
      const step = script[0] ?? halt;
      if (typeof step === 'number') {
        icount += 1n;
        if (step > 1) script[0] = step - 1;
        else script.shift();
      } else if (step.reason === 'Hlt') {
        if (script.length > 0) icount += 1n;
        script.shift();
        script.length = 0;
        halted = true;
        return leave(step);
      } else if (answering) {
        // The answered instruction is executed again, and retires.
        answering = false;
        icount += 1n;
        script.shift();
      } else {
        answering = true;
        return leave(step);
      }
    }
  }
  return {
    id, run, isRunnable: () => !halted, get icount() { return icount; },
    getRegs: () => regs, setRegs: (value: Regs) => { regs = value; },
    getSregs: () => sregs, setSregs: (value: Sregs) => { sregs = value; },
  } as unknown as Vcpu;
}
