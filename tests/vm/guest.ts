// Small guests for tests of the run loop: bytes with their instructions beside them, placed at 0x1000 and entered in real mode or flat
// protected mode, in every tier. The board is not involved: the test is the client.
import { createKvm } from '../../src/kvm/system.ts';
import type { KvmSegment, Tier, Vcpu, VcpuExit, Vm } from '../../src/kvm/api.ts';

export const tiers: readonly Tier[] = ['reference', 'interpreter'];
/** Bytes in hex, and what they are. */
export type Listing = readonly (readonly [bytes: string, instruction: string])[];

export const ENTRY = 0x1000;
export const RAM_BYTES = 1 << 20;

export const assemble = (listing: Listing): Uint8Array => Uint8Array.from(listing.flatMap(([bytes]) => bytes.split(' ').map((byte) => parseInt(byte, 16))));

export function createGuest(tier: Tier, options: { vcpus?: number; cpu?: string } = {}): Vm {
  const vm = createKvm().createVm({
    cpu: options.cpu ?? 'EPYC-Milan', behaviours: {}, ramBytes: RAM_BYTES, tier, seed: 7n, quantum: 1000, tscKhz: 1_000_000,
  });
  // The last 64 KiB of RAM are not mapped: a hole at 0xf0000.
  vm.setUserMemoryRegion({ slot: 0, flags: 0, guestPhysical: 0, size: 0xf0000, ramOffset: 0 });
  for (let id = 0; id < (options.vcpus ?? 1); id++) vm.createVcpu(id);
  return vm;
}

const segment16: KvmSegment = { base: 0n, limit: 0xffff, selector: 0, type: 3, present: 1, dpl: 0, db: 0, s: 1, l: 0, g: 0, avl: 0, unusable: 0 };
const segment32: KvmSegment = { ...segment16, limit: 0xffffffff, db: 1, g: 1, selector: 0x10 };

export function enterRealMode(vcpu: Vcpu, rip = ENTRY): void {
  const sregs = vcpu.getSregs();
  vcpu.setSregs({ ...sregs, cs: { ...segment16, type: 11 }, ds: segment16, es: segment16, ss: segment16, fs: segment16, gs: segment16 });
  vcpu.setRegs({ ...vcpu.getRegs(), rip: BigInt(rip), rsp: 0x8000n, rflags: 2n });
}

export function enterProtectedMode(vcpu: Vcpu, changes: Partial<ReturnType<Vcpu['getSregs']>> = {}): void {
  const sregs = vcpu.getSregs();
  vcpu.setSregs({
    ...sregs, cs: { ...segment32, type: 11, selector: 8 }, ds: segment32, es: segment32, ss: segment32, fs: segment32, gs: segment32, cr0: 0x11n, ...changes,
  });
  vcpu.setRegs({ ...vcpu.getRegs(), rip: BigInt(ENTRY), rsp: 0x8000n, rflags: 2n });
}

/** A guest with its code, in real mode with an empty interrupt table. */
export function realModeGuest(tier: Tier, listing: Listing): { vm: Vm; vcpu: Vcpu } {
  const vm = createGuest(tier), vcpu = vm.vcpus[0]!;
  vm.writeMemory(ENTRY, assemble(listing));
  enterRealMode(vcpu);
  return { vm, vcpu };
}

/** Sets some registers and leaves the others. */
export const set = (vcpu: Vcpu, registers: Partial<ReturnType<Vcpu['getRegs']>>): void => { vcpu.setRegs({ ...vcpu.getRegs(), ...registers }); };

/** A real-mode interrupt vector. */
export const setVector = (vm: Vm, vector: number, offset: number): void => { vm.writeMemory(4 * vector, Uint8Array.of(offset & 0xff, offset >> 8, 0, 0)); };

export const word = (vm: Vm, address: number): number => {
  const bytes = vm.readMemory(address, 2);
  return bytes[0]! | bytes[1]! << 8;
};

/** Runs to the next exit; a guest that goes astray stops with `Intr`. */
export const run = (vcpu: Vcpu): VcpuExit => vcpu.run(vcpu.icount + 10_000n);
