// A VM that is not one: a deterministic machine behind the KVM surface, for tests of recording and replaying that need no processor.
// Each "instruction" turns a generator, stores into RAM, sometimes prints, reads its serial port, or reports a transition. It can be
// told to go wrong at one instruction, in one tier.
import type { Kvm, Sregs, Tier, Vcpu, VcpuExit, Vm, VmConfig } from '../../src/kvm/api.ts';

export interface FakeOptions {
  /** The guest writes to the debug-exit port at this instruction; absent: it never ends. */
  readonly endsAt?: number;
  /** In this tier, this instruction computes something else. */
  readonly wrong?: { readonly tier: Tier; readonly icount: number };
  /** A transition is reported every so many instructions. */
  readonly transitionEvery?: number;
}

const PAGE = 4096;

export function fakeKvm(options: FakeOptions = {}): Kvm {
  return { createVm: (config) => createVm(config, options) };
}

function createVm(config: VmConfig, { endsAt = Infinity, wrong, transitionEvery = 5000 }: FakeOptions): Vm {
  const ram = new Uint8Array(config.ramBytes);
  const dirty = new Set<number>();
  const vcpus: Vcpu[] = [];
  let random = config.seed;

  const store = (address: number, byte: number): void => {
    ram[address] = byte;
    dirty.add(Math.floor(address / PAGE));
  };

  function createVcpu(id: number): Vcpu {
    let x = Number(config.seed & 0xffffffffn) | 1, icount = 0, nmis = 0;
    let pending: { exit: VcpuExit; data: Uint8Array } | undefined;

    /** The exit that instruction `icount` needs. */
    function exitNeeded(): { exit: VcpuExit; data: Uint8Array } | undefined {
      const data = new Uint8Array(1);
      if (icount >= endsAt) {
        data[0] = 0x10;
        return { exit: { reason: 'IoOut', port: 0xf4, size: 1, data }, data };
      }
      if (icount % 97 === 13) {
        data[0] = icount % 20 === 13 ? 10 : 97 + ((x >>> 7) % 26);
        return { exit: { reason: 'IoOut', port: 0x3f8, size: 1, data }, data };
      }
      if (icount % 101 === 50) return { exit: { reason: 'IoIn', port: icount % 2 === 0 ? 0x3fd : 0x3f8, size: 1, data }, data };
      return undefined;
    }

    function retire(): void {
      if (pending) x ^= pending.data[0]!;
      pending = undefined;
      x = (Math.imul(x, 1664525) + 1013904223 + nmis) | 0;
      if (wrong?.tier === config.tier && wrong.icount === icount) x ^= 1;
      if (icount % 7 === 0) store(x >>> 0 & (config.ramBytes - 1) & ~0x10000, x >>> 24);
      icount++;
      if (icount % transitionEvery === 0) vm.onTransition?.({ vcpu: id, icount: BigInt(icount), kind: 'VmExit', level: 2, smm: false, detail: { exitCode: BigInt(x >>> 0) } });
    }

    return {
      id,
      run(until) {
        for (;;) {
          if (until !== undefined && icount >= Number(until)) return { reason: 'Intr' };
          if (!pending) {
            pending = exitNeeded();
            if (pending) return pending.exit;
          }
          retire();
        }
      },
      getRegs: () => ({}) as never,
      setRegs: () => {},
      getSregs: () => ({}) as Sregs,
      setSregs: () => {},
      getMsr: () => 0n,
      setMsr: () => {},
      translate: (linear) => Number(linear),
      interrupt: () => {},
      nmi: () => { nmis++; },
      smi: () => {},
      isRunnable: () => true,
      get icount() { return BigInt(icount); },
      digest: () => (x >>> 0).toString(16).padStart(16, '0'),
      saveState: () => new Uint8Array(new Int32Array([x, icount, nmis]).buffer),
      loadState(state) {
        if (state.length !== 12) throw new Error(`a state of ${state.length} bytes`);
        [x, icount, nmis] = new Int32Array(state.slice().buffer) as unknown as [number, number, number];
      },
    };
  }

  const vm: Vm = {
    createVcpu(id) {
      const vcpu = createVcpu(id);
      vcpus.push(vcpu);
      return vcpu;
    },
    vcpus,
    createIrqchip: () => {},
    setIrqLine: () => {},
    isA20Open: () => true,
    setA20: () => {},
    idle: () => false,
    getClock: () => vcpus.reduce((sum, vcpu) => sum + Number(vcpu.icount), 0),
    setUserMemoryRegion: () => {},
    readMemory: (at, length) => ram.slice(at, at + length),
    writeMemory: (at, bytes) => bytes.forEach((byte, index) => store(at + index, byte)),
    ramSize: config.ramBytes,
    memoryDigest: () => '0'.repeat(16),
    accessDigest: () => '0'.repeat(16),
    takeDirtyPages() {
      const pages = Uint32Array.from(dirty).sort();
      dirty.clear();
      return pages;
    },
    ramPage: (page) => ram.subarray(page * PAGE, (page + 1) * PAGE),
    restoreRamPage: (page, bytes) => ram.set(bytes, page * PAGE),
    saveVmState: () => ({ random, slots: [{ slot: 0, size: config.ramBytes }] }),
    loadVmState: (state) => { ({ random } = state as { random: bigint }); },
    listen: () => {},
    footprint: () => [{ capability: 'smep', answer: true, firstIcount: 0n }],
  } as Vm;
  return vm;
}

/** The smallest image that our board loads: an ELF32 file with a multiboot header and one segment, which holds `code`. */
export function smallImage(code: readonly number[] = []): Uint8Array {
  const file = new Uint8Array(128), view = new DataView(file.buffer);
  view.setUint32(0, 0x7f454c46);
  file.set([1, 1, 1], 4);
  const words: readonly (readonly [at: number, value: number])[] = [[24, 0x10000c], [28, 52], [52, 1], [56, 96], [60, 0x100000], [64, 0x100000], [68, 32], [72, 32]];
  for (const [at, value] of words) view.setUint32(at, value, true);
  const halves: readonly (readonly [at: number, value: number])[] = [[16, 2], [18, 3], [40, 52], [42, 32], [44, 1]];
  for (const [at, value] of halves) view.setUint16(at, value, true);
  [0x1badb002, 0, -0x1badb002].forEach((value, index) => view.setInt32(96 + 4 * index, value, true));
  file.set(code, 108);
  return file;
}
