// Our own machine monitor: memory, a multiboot loader and the devices that user space emulates, driven through the KVM surface and
// nothing else. The recorder, the replayer and tests run guests with it. Every answer is a function of the guest's accesses and of the
// input given to `receive`, so answers are recomputed on replay and never stored.
import type { Regs, KvmSegment, Sregs, Vcpu, VcpuExit, Vm } from '../kvm/api.ts';
import { ACPI_AT, acpiTables, PM_TIMER } from './acpi.ts';
import { DEBUG_EXIT_PORT, DEBUG_EXIT_PORTS, exitStatus } from './debug-exit.ts';
import { createFwCfg, FW_CFG_DATA, FW_CFG_SELECTOR, type FwCfgState } from './fw-cfg.ts';
import { createI8042, I8042_RESET, KEYBOARD_COMMAND, KEYBOARD_DATA, SYSTEM_CONTROL_A, type I8042State } from './i8042.ts';
import { bootInformation, BOOT_MAGIC, readImage, VIDEO_WINDOW, VIDEO_WINDOW_END, type Segment } from './multiboot.ts';
import { createRtc, RTC_DATA, RTC_INDEX, type RtcState } from './rtc.ts';
import { createSmiPorts, type SmiState } from './smi.ts';
import {
  createTestdev, TEST_ECHO, TEST_LINE_COUNT, TEST_LINES, TEST_MEMORY, TEST_MEMORY_SIZE, type TestdevState,
} from './testdev.ts';
import { createUart, type UartState } from './uart.ts';

export interface BoardOptions {
  readonly cpuCount: number;
  /** Instructions in a vCPU's turn; without meaning for one vCPU. */
  readonly quantum: number;
  /** Ticks of the VM's clock in a millisecond; absent: a million. */
  readonly tscKhz?: number;
  /** What the real-time clock shows at first, in seconds since 1970; absent: the beginning of the year 2000. */
  readonly startSeconds?: number;
  /** Receives what the guest sends to COM1, a byte at a time. */
  readonly onOutput: (byte: number) => void;
}

/** Why a run came back. */
export type BoardStop =
  /** The wanted number of instructions has been retired. */
  | { readonly kind: 'reached' }
  /** The guest wrote to the debug-exit port. The write itself has not retired. */
  | { readonly kind: 'exited'; readonly status: number }
  /** Every vCPU sleeps, and no timer is running that could wake one. */
  | { readonly kind: 'halted' }
  /** Triple fault. */
  | { readonly kind: 'shutdown'; readonly vcpu: number }
  /** A guest debugging event. */
  | { readonly kind: 'debug'; readonly vcpu: number; readonly exit: VcpuExit }
  /** The core gave up: the exit says why. */
  | { readonly kind: 'failed'; readonly vcpu: number; readonly exit: VcpuExit };

/** The devices and the turn, as plain data. */
export interface BoardState {
  readonly uart: UartState;
  readonly fwCfg: FwCfgState;
  readonly rtc: RtcState;
  readonly testdev: TestdevState;
  /** Absent while its registers are zero. */
  readonly smi?: SmiState;
  /** Absent while it is as after a reset. */
  readonly i8042?: I8042State;
  /** Whose turn it is, and at which of its instruction counts the turn ends. */
  readonly turn: { readonly vcpu: number; readonly endsAt: bigint };
}

export interface Board {
  readonly vm: Vm;
  /** Instructions retired by all vCPUs together. */
  icount(): bigint;
  /** Puts a multiboot image into memory and vCPU 0 at its entry. `commandLine` begins with the path of the image. */
  loadImage(image: Uint8Array, commandLine: string, initrd?: Uint8Array): void;
  /** Runs until something that is not the board's own business happens, or until `icount()` is `until` (absent: no limit). */
  run(until?: bigint): BoardStop;
  /** Serial input, at this position. */
  receive(bytes: Uint8Array): void;
  saveState(): BoardState;
  loadState(state: BoardState): void;
  /** 64 bits over the state of the devices and the turn, as 16 hex digits. (The VM keeps the digest of every access.) */
  digest(): string;
}

const COM1 = 0x3f8;
const LEGACY_END = 0x100000;
/** RAM ends here, or goes on at 4 GiB: the space between belongs to devices. */
const HOLE = 3 * 2 ** 30;
const ABOVE_HOLE = 2 ** 32;
/** Slots of the address space that system-management mode sees. */
const IN_SMM = 0x10000;
/** Where an SMI goes after reset, and what a firmware would leave there at the least: RSM. */
const SMI_HANDLER_AT = 0x38000;
const SMI_HANDLER = Uint8Array.of(0x0f, 0xaa);
/** The clock of the ACPI timer in Hz. */
const PM_TIMER_HZ = 3579545;
const YEAR_2000 = 946684800;
/** So many timers in a row may wake nobody before the machine counts as halted for good. */
const FRUITLESS_TIMERS = 1 << 16;

export function createBoard(vm: Vm, options: BoardOptions): Board {
  const lowRam = Math.min(vm.ramSize, HOLE), highRam = vm.ramSize - lowRam;
  const map = (slot: number, guestPhysical: number, size: number, ramOffset: number): void => {
    if (size > 0) vm.setUserMemoryRegion({ slot, flags: 0, guestPhysical, size, ramOffset });
  };
  // The RAM behind the legacy video window is SMRAM (ASEG): there in system-management mode, a hole outside.
  map(0, 0, Math.min(lowRam, VIDEO_WINDOW), 0);
  map(2, VIDEO_WINDOW_END, lowRam - VIDEO_WINDOW_END, VIDEO_WINDOW_END);
  map(1, ABOVE_HOLE, highRam, lowRam);
  map(IN_SMM, 0, lowRam, 0);
  map(IN_SMM | 1, ABOVE_HOLE, highRam, lowRam);
  vm.createIrqchip();
  const vcpus: Vcpu[] = Array.from({ length: options.cpuCount }, (_, id) => vm.createVcpu(id));
  const quantum = BigInt(options.quantum);

  const uart = createUart(options.onOutput);
  const fwCfg = createFwCfg({ cpuCount: options.cpuCount, ramBytes: vm.ramSize });
  const hz = (options.tscKhz ?? 1_000_000) * 1000, startSeconds = options.startSeconds ?? YEAR_2000;
  const rtc = createRtc(() => startSeconds + Math.floor(vm.getClock() / hz));
  const testdev = createTestdev(), smi = createSmiPorts(), i8042 = createI8042(vm);
  let current = 0, turnEndsAt = quantum;

  /** Exact in a double: the remainder is below 2^53. */
  function pmTimer(): number {
    const clock = vm.getClock();
    return (Math.floor(clock / hz) * PM_TIMER_HZ + Math.floor(clock % hz * PM_TIMER_HZ / hz)) % 2 ** 32;
  }

  function readByte(port: number): number {
    switch (port) {
      case COM1: case COM1 + 1: case COM1 + 2: case COM1 + 3: case COM1 + 4: case COM1 + 5: case COM1 + 6: case COM1 + 7: return uart.read(port - COM1);
      case FW_CFG_DATA: return fwCfg.read();
      case RTC_INDEX: case RTC_DATA: return rtc.read(port);
      case TEST_ECHO: case TEST_ECHO + 1: case TEST_ECHO + 2: case TEST_ECHO + 3: return testdev.readEcho(port - TEST_ECHO);
      case KEYBOARD_DATA: case KEYBOARD_COMMAND: case SYSTEM_CONTROL_A: return i8042.read(port);
      case PM_TIMER: case PM_TIMER + 1: case PM_TIMER + 2: case PM_TIMER + 3: return pmTimer() / 2 ** (8 * (port - PM_TIMER)) & 0xff;
      default: return smi.claims(port) ? smi.read(port) : 0xff;
    }
  }

  function writeByte(port: number, value: number): void {
    switch (port) {
      case COM1: case COM1 + 1: case COM1 + 2: case COM1 + 3: case COM1 + 4: case COM1 + 5: case COM1 + 6: case COM1 + 7: return uart.write(port - COM1, value);
      case RTC_INDEX: case RTC_DATA: return rtc.write(port, value);
      case TEST_ECHO: case TEST_ECHO + 1: case TEST_ECHO + 2: case TEST_ECHO + 3: return testdev.writeEcho(port - TEST_ECHO, value);
      case KEYBOARD_DATA: case KEYBOARD_COMMAND: case SYSTEM_CONTROL_A: return i8042.write(port, value);
      default: if (smi.claims(port) && smi.write(port, value)) vcpus[current]!.smi();
    }
  }

  /** One element of IN: fills `data[at..at+size)`. */
  function portIn(port: number, size: number, data: Uint8Array, at: number): void {
    for (let index = 0; index < size; index++) data[at + index] = readByte(port + index);
  }

  /** One element of OUT. Gives the code when it was written to the debug-exit port, else -1. */
  function portOut(port: number, size: number, data: Uint8Array, at: number): number {
    let value = data[at]!;
    for (let index = 1; index < size; index++) value |= data[at + index]! << (8 * index);
    if (port >= DEBUG_EXIT_PORT && port < DEBUG_EXIT_PORT + DEBUG_EXIT_PORTS) return value >>> 0;
    if (port === FW_CFG_SELECTOR && size >= 2) fwCfg.select(value & 0xffff);
    else if (port >= TEST_LINES && port < TEST_LINES + TEST_LINE_COUNT) vm.setIrqLine(port - TEST_LINES, value !== 0);
    else for (let index = 0; index < size; index++) writeByte(port + index, data[at + index]!);
    return -1;
  }

  /** Memory where no RAM is: the test device's, all else reads as ones and ignores writes. */
  function mmioRead(address: number, data: Uint8Array): void {
    if (address >= TEST_MEMORY && address < TEST_MEMORY + TEST_MEMORY_SIZE) testdev.readMemory(address - TEST_MEMORY, data);
    else data.fill(0xff);
  }

  function mmioWrite(address: number, data: Uint8Array): void {
    if (address >= TEST_MEMORY && address < TEST_MEMORY + TEST_MEMORY_SIZE) testdev.writeMemory(address - TEST_MEMORY, data);
  }

  /** Runs one vCPU and answers its exits until one of them is not the board's business. */
  function runVcpu(vcpu: Vcpu, until: bigint | undefined): VcpuExit | number {
    for (;;) {
      const exit = vcpu.run(until);
      switch (exit.reason) {
        case 'IoIn':
          for (let at = 0; at < exit.data.length; at += exit.size) portIn(exit.port, exit.size, exit.data, at);
          break;
        case 'IoOut':
          for (let at = 0; at < exit.data.length; at += exit.size) {
            const code = portOut(exit.port, exit.size, exit.data, at);
            if (code >= 0) return code;
          }
          break;
        case 'MmioRead': mmioRead(exit.address, exit.data); break;
        case 'MmioWrite': mmioWrite(exit.address, exit.data); break;
        default: return exit;
      }
    }
  }

  const icount = (): bigint => vcpus.reduce((sum, vcpu) => sum + vcpu.icount, 0n);

  /** Passes the turn to the next vCPU that does not sleep, this one included; false when there is none. It happens only just before a vCPU
   * runs: so where a run was interrupted can never be seen in the order of turns. */
  function chooseVcpu(): boolean {
    if (vcpus[current]!.isRunnable() && (vcpus.length === 1 || vcpus[current]!.icount < turnEndsAt)) return true;
    for (let step = 1; step <= vcpus.length; step++) {
      const next = (current + step) % vcpus.length;
      if (!vcpus[next]!.isRunnable()) continue;
      current = next;
      turnEndsAt = vcpus[next]!.icount + quantum;
      return true;
    }
    return false;
  }

  /** Where the current vCPU has to stop: at the end of its turn, or where all together have done enough. */
  function limit(until: bigint | undefined): bigint | undefined {
    if (vcpus.length === 1) return until;
    if (until === undefined) return turnEndsAt;
    const enough = vcpus[current]!.icount + until - icount();
    return enough < turnEndsAt ? enough : turnEndsAt;
  }

  /** Lets time pass until a vCPU wakes; false when none ever will. */
  function sleep(): boolean {
    for (let timers = 0; timers < FRUITLESS_TIMERS && vm.idle(); timers++) if (chooseVcpu()) return true;
    return false;
  }

  function run(until?: bigint): BoardStop {
    while (until === undefined || icount() < until) {
      if (!chooseVcpu() && !sleep()) return { kind: 'halted' };
      const exit = runVcpu(vcpus[current]!, limit(until));
      if (typeof exit === 'number') return { kind: 'exited', status: exitStatus(exit) };
      switch (exit.reason) {
        case 'Intr': case 'Hlt': break;
        case 'Shutdown': return { kind: 'shutdown', vcpu: current };
        case 'Debug': return { kind: 'debug', vcpu: current, exit };
        default: return { kind: 'failed', vcpu: current, exit };
      }
    }
    return { kind: 'reached' };
  }

  function loadImage(file: Uint8Array, commandLine: string, initrd?: Uint8Array): void {
    const image = readImage(file, lowRam);
    const boot = bootInformation(image, commandLine, initrd, lowRam, highRam);
    if (lowRam >= LEGACY_END) vm.writeMemory(ACPI_AT, acpiTables(vcpus.length));
    if (lowRam >= LEGACY_END) vm.writeMemory(SMI_HANDLER_AT, SMI_HANDLER);
    for (const segment of image.segments) placeSegment(vm, segment);
    for (const { guestPhysical, bytes } of boot.writes) vm.writeMemory(guestPhysical, bytes);
    const vcpu = vcpus[0]!;
    vcpu.setSregs(flatProtectedMode(vcpu.getSregs()));
    vcpu.setRegs({ ...noRegs, rip: BigInt(image.entry), rax: BOOT_MAGIC, rbx: BigInt(boot.infoAt) });
  }

  function digest(): string {
    // What is as after a reset counts nothing, so that a board with more devices has the digests of old journals.
    const more = [...(smi.isUsed() ? [smi.save()] : []), ...(i8042.isUsed() ? [i8042.save()] : []), ...(vm.isA20Open() ? [] : ['A20 closed'])];
    const state = JSON.stringify([uart.save(), fwCfg.save(), rtc.save(), testdev.save().echo, testdev.digest(), current, ...more]);
    let a = 0x2545f491, b = 0x4f6cdd1d;
    for (let index = 0; index < state.length; index++) {
      a = Math.imul(a ^ state.charCodeAt(index), 0x01000193);
      b = Math.imul(b ^ (a >>> 7), 0x85ebca6b);
    }
    return [a, b].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('');
  }

  return {
    vm, icount, loadImage, run, digest,
    receive: (bytes) => uart.receive(bytes),
    saveState: () => ({
      uart: uart.save(), fwCfg: fwCfg.save(), rtc: rtc.save(), testdev: testdev.save(), turn: { vcpu: current, endsAt: turnEndsAt },
      ...(smi.isUsed() ? { smi: smi.save() } : {}), ...(i8042.isUsed() ? { i8042: i8042.save() } : {}),
    }),
    loadState(state) {
      uart.load(state.uart);
      fwCfg.load(state.fwCfg);
      rtc.load(state.rtc);
      testdev.load(state.testdev);
      smi.load(state.smi ?? { bytes: [0, 0, 0, 0, 0, 0] });
      i8042.load(state.i8042 ?? I8042_RESET);
      current = state.turn.vcpu;
      turnEndsAt = state.turn.endsAt;
    },
  };
}

const CHUNK = 1 << 16;

/** Writes what the file gives and zeros the rest, leaving alone what is zero already. */
function placeSegment(vm: Vm, { guestPhysical, bytes, memorySize }: Segment): void {
  if (bytes.length > 0) vm.writeMemory(guestPhysical, bytes);
  for (let at = bytes.length; at < memorySize; at += CHUNK) {
    const length = Math.min(CHUNK, memorySize - at);
    if (vm.readMemory(guestPhysical + at, length).some((byte) => byte !== 0)) vm.writeMemory(guestPhysical + at, new Uint8Array(length));
  }
}

const noRegs: Regs = {
  rax: 0n, rbx: 0n, rcx: 0n, rdx: 0n, rsi: 0n, rdi: 0n, rsp: 0n, rbp: 0n,
  r8: 0n, r9: 0n, r10: 0n, r11: 0n, r12: 0n, r13: 0n, r14: 0n, r15: 0n, rip: 0n, rflags: 2n,
};

/** Multiboot 0.6.96, 3.2: 32-bit protected mode, flat segments, paging off; the descriptor tables are the guest's own business. */
function flatProtectedMode(sregs: Sregs): Sregs {
  const flat: KvmSegment = { base: 0n, limit: 0xffffffff, selector: 0x10, type: 3, present: 1, dpl: 0, db: 1, s: 1, l: 0, g: 1, avl: 0, unusable: 0 };
  const system: KvmSegment = { ...flat, limit: 0xffff, selector: 0, db: 0, s: 0, g: 0 };
  return {
    ...sregs,
    cs: { ...flat, selector: 8, type: 11 }, ds: flat, es: flat, fs: flat, gs: flat, ss: flat,
    tr: { ...system, type: 11 }, ldt: { ...system, type: 2 },
    gdt: { base: 0n, limit: 0 }, idt: { base: 0n, limit: 0 },
    // PE and ET.
    cr0: 0x11n, cr2: 0n, cr3: 0n, cr4: 0n, efer: 0n,
  };
}
