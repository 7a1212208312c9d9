// A virtual machine as KVM keeps it in the kernel: one linear memory with RAM and the active vCPU file, the other files beside it, memory
// slots, the capability door. `kvm/` gives it KVM's names; nobody else drives it. One vCPU runs at a time: whoever calls `run` decides whose
// turn it is, so the order is the client's and a digest cannot depend on the tier.
import { isCanonical, isLongMode } from '../cpu/controls.ts';
import type { Engine, Services } from '../cpu/engine.ts';
import { Activity, bindCpu, Pending, placeOf, RAM, resetCpu, VCPU_FILE, VCPU_FILE_SIZE, type Cpu, type FieldName } from '../cpu/state.ts';
import { PAGE_SIZE } from '../memory/addresses.ts';
import { checkSlot, createRam, hostOfPage, NORMAL_SPACE, PageFlag, pageOfEntry, type Ram, type Slot } from '../memory/ram.ts';
import { createTlb } from '../memory/tlb.ts';
import { Reason } from '../memory/walk.ts';
import { createCapabilities, type Capabilities } from '../model/capabilities.ts';
import { createReference } from '../semantics/reference.ts';
import { GuestFault } from '../system/machine.ts';
import { acceptsInterrupt, acceptsNmi, hasVirtualEvent } from '../system/nested.ts';
import { readMsr, writeMsr } from '../system/msrs.ts';
import { createEngine } from '../wasm/index.ts';
import { createDigests, digestText } from './digest.ts';
import { decodeVcpu, encodeVcpu } from './vcpu-codec.ts';
import { Errno } from './errno.ts';
import { evolve, initialState, randomValue, type VmEvent, type VmState } from './evolve.ts';
import { createExits, type ExitDoor, type VcpuExit } from './exits.ts';
import { createIrqchip, type Irqchip, type IrqchipState } from './irqchip.ts';
import { createRunner, type RunnerParts } from './run.ts';
import type { Transition } from './transit.ts';

export type Tier = 'reference' | 'interpreter' | 'translator' | 'auto';

export interface MachineConfig {
  readonly cpu: string;
  readonly behaviours: Readonly<Record<string, string>>;
  readonly ramBytes: number;
  readonly tier: Tier;
  readonly seed: bigint;
  /** Ticks of the time stamp counter in a millisecond: how long an instruction takes. */
  readonly tscKhz: number;
}

/** One vCPU: its file when it is not active, and its door to user space. */
interface VcpuSlot { readonly id: number; readonly file: Uint8Array; readonly words: Uint32Array; readonly door: ExitDoor }

export interface VirtualMachine {
  readonly cpu: Cpu;
  readonly ram: Ram;
  readonly capability: Capabilities;
  /** KVM_CREATE_IRQCHIP and KVM_CREATE_PIT2: before the first vCPU. */
  createIrqchip(): void;
  /** KVM_IRQ_LINE. */
  setIrqLine(gsi: number, high: boolean): void;
  isA20Open(): boolean;
  setA20(open: boolean): void;
  /** Whether a vCPU has something to do: it does not sleep, or what it sleeps for has come. */
  isRunnable(id: number): boolean;
  /** All vCPUs sleep: time goes on to the next timer, which does its work. False: none is running. */
  idle(): boolean;
  /** KVM_GET_CLOCK, in ticks of the TSC. */
  now(): number;
  /** Instructions that a vCPU has retired. */
  icount(id: number): bigint;
  /** Instructions that all of them have retired, exact even in the middle of a run. */
  retired(): number;
  onTransition: ((vcpu: number, icount: bigint, transition: Transition) => void) | undefined;
  onDelivery: ((vcpu: number, icount: bigint, ...delivery: Parameters<RunnerParts['onDelivery']>) => void) | undefined;
  createVcpu(id: number): void;
  /** Puts a vCPU's file in place; what was derived from another one's is dropped. */
  activate(id: number): void;
  /** The active vCPU's registers were changed from outside. */
  changed(): void;
  run(id: number, until: bigint | undefined): VcpuExit;
  readMsr(index: number): bigint;
  writeMsr(index: number, value: bigint): void;
  readPhysical64(physical: number): bigint;
  /** Guest-physical address behind a linear one, seen by a supervisor of this vCPU; undefined where nothing is mapped. Leaves no trace. */
  translate(id: number, linear: bigint): number | undefined;
  digest(id: number): string;
  saveVcpu(id: number): Uint8Array;
  loadVcpu(id: number, bytes: Uint8Array): void;
  setMemoryRegion(region: Slot): void;
  readMemory(guestPhysical: number, length: number): Uint8Array;
  writeMemory(guestPhysical: number, bytes: Uint8Array): void;
  takeDirtyPages(): Uint32Array;
  ramPage(page: number): Uint8Array;
  restoreRamPage(page: number, bytes: Uint8Array): void;
  memoryDigest(): string;
  /** Over every access that user space answered, of all vCPUs. */
  accessDigest(): string;
  saveState(): SavedVm;
  loadState(state: unknown): void;
}

export interface SavedVm extends VmState {
  /** Rolling digests of the answered accesses, a pair of words per vCPU. */
  readonly accesses: readonly (readonly [number, number])[];
  /** Ticks that passed without an instruction: while every vCPU slept, and in PAUSE. */
  readonly slept: number;
  /** Absent where user space has the interrupt controllers. */
  readonly irqchip?: IrqchipState;
}

const WASM_PAGE = 65536;
/** Linear memory ends at 4 GiB. */
const LARGEST_RAM = 2 ** 32 - WASM_PAGE - RAM;

/** As KVM makes a vCPU, and FNINIT of a firmware: RESET itself leaves x87 exceptions unmasked (APM Vol. 2, table 14-1). */
const FCW_INITIAL = 0x37f;

export function createVirtualMachine(config: MachineConfig): VirtualMachine {
  const { ramBytes } = config;
  if (!Number.isSafeInteger(ramBytes) || ramBytes < PAGE_SIZE || ramBytes % PAGE_SIZE !== 0 || ramBytes > LARGEST_RAM) {
    throw new Errno('EINVAL', `RAM is a multiple of 4 KiB up to ${Math.floor(LARGEST_RAM / 2 ** 20)} MiB, not ${ramBytes} bytes`);
  }
  const pages = Math.ceil((RAM + ramBytes) / WASM_PAGE);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const cpu = bindCpu(memory.buffer), ram = createRam(memory.buffer, ramBytes), tlb = createTlb(ram);
  let now = (): bigint => 0n;
  const capability = createCapabilities(config.cpu, config.behaviours, () => now());
  const slots: VcpuSlot[] = [];
  let active: VcpuSlot | undefined;
  let state = initialState(config.seed);
  let irqchip: Irqchip | undefined;
  /** Ticks; see `SavedVm`. In an array because a variable would allocate with each change. */
  const slept = new Float64Array(1);
  const decide = (event: VmEvent): void => { state = evolve(state, event); };

  const idle = createExits(cpu);
  const runner = createRunner({
    cpu, ram, tlb, capability, door: idle,
    createEngine: (services) => engineOf(config.tier, memory, cpu, services, capability),
    random() {
      const value = randomValue(state.random);
      decide({ kind: 'RandomDrawn' });
      return value;
    },
    onTransition(transition) { machine.onTransition?.(active!.id, runner.icount(), transition); },
    onDelivery(kind, vector, errorCode, address, check) {
      if (machine.onDelivery !== undefined) machine.onDelivery(active!.id, runner.icount(), kind, vector, errorCode, address, check);
    },
    isA20Closed: () => state.a20Closed === true,
    letPass(ticks) { slept[0]! += ticks; },
    clockBase: () => slots.reduce((sum, slot) => slot === active ? sum : sum + countOf(slot.words), slept[0]!),
  });

  /** A word of a vCPU's file, wherever that is now. */
  const wordOf = (slot: VcpuSlot, name: FieldName): number => slot === active ? cpu.u32[placeOf(name) >> 2]! : slot.words[placeOf(name) - VCPU_FILE >> 2]!;
  function setPending(index: number, clear: number, set: number): void {
    const slot = slots[index]!, at = placeOf('pending');
    if (slot === active) cpu.u32[at >> 2] = cpu.u32[at >> 2]! & ~clear | set;
    else slot.words[at - VCPU_FILE >> 2] = slot.words[at - VCPU_FILE >> 2]! & ~clear | set;
  }

  function isRunnable(slot: VcpuSlot): boolean {
    const activity = wordOf(slot, 'activity'), pending = wordOf(slot, 'pending');
    const inSmm = wordOf(slot, 'smm') !== 0, takes = wordOf(slot, 'gif') !== 0;
    if (activity === Activity.running || ((pending & Pending.init) !== 0 && !inSmm && takes)) return true;
    if (activity === Activity.waitForSipi) return irqchip?.hasStartup(slots.indexOf(slot)) === true;
    const words = slot === active ? cpu.u32 : slot.words, base = slot === active ? VCPU_FILE >> 2 : 0;
    return activity === Activity.halted && (((pending & Pending.smi) !== 0 && !inSmm && takes) || (wordOf(slot, 'pendingDebug') !== 0)
      || ((pending & Pending.nmi) !== 0 && acceptsNmi(words, base)) || ((pending & Pending.interrupt) !== 0 && acceptsInterrupt(words, base))
      || hasVirtualEvent(words, base));
  }
  now = runner.icount;
  const digests = createDigests(memory, cpu, ram, tlb.dropWrites);

  const slotOf = (id: number): VcpuSlot => {
    const slot = slots.find((candidate) => candidate.id === id);
    if (slot === undefined) throw new Errno('ENOENT', `there is no vCPU ${id}`);
    return slot;
  };

  function activate(id: number): void {
    if (active?.id === id) return;
    const next = slotOf(id);
    active?.file.set(cpu.u8.subarray(VCPU_FILE, VCPU_FILE + VCPU_FILE_SIZE));
    cpu.u8.set(next.file, VCPU_FILE);
    active = next;
    runner.setDoor(next.door);
    runner.setIrqchip(irqchip, slots.indexOf(next));
    runner.switched();
  }

  /** Registers that the local APIC shares may have changed. */
  function synchronise(): void {
    if (irqchip !== undefined && active !== undefined) irqchip.synchronise(slots.indexOf(active), cpu.cr8, cpu.apicBase, runner.now());
  }

  /** What was derived from the slots is dropped. */
  function remap(): void {
    ram.setSlots(state.slots);
    tlb.dropAll();
    runner.engine.flushAddresses();
  }

  /** The parts of a guest-physical range that lie in one page each. */
  function eachPage(guestPhysical: number, length: number, visit: (page: number, offset: number, at: number, part: number) => void): void {
    for (let at = 0; at < length;) {
      const address = guestPhysical + at, offset = address % PAGE_SIZE, part = Math.min(PAGE_SIZE - offset, length - at);
      const entry = ram.entryIn(NORMAL_SPACE, Math.floor(address / PAGE_SIZE));
      if (entry === 0) throw new Errno('EFAULT', `no memory is at guest-physical 0x${address.toString(16)}`);
      visit(pageOfEntry(entry), offset, at, part);
      at += part;
    }
  }

  function checkPage(page: number): void {
    if (!Number.isInteger(page) || page < 0 || page >= ram.pageCount) throw new Errno('EINVAL', `there is no RAM page ${page}`);
  }

  const machine: VirtualMachine = {
    cpu, ram, capability, activate,
    onTransition: undefined,
    onDelivery: undefined,
    createVcpu(id) {
      if (!Number.isInteger(id) || id < 0) throw new Errno('EINVAL', `a vCPU cannot have the id ${id}`);
      if (slots.some((slot) => slot.id === id)) throw new Errno('EEXIST', `there is a vCPU ${id} already`);
      const file = new Uint8Array(VCPU_FILE_SIZE);
      slots.push({ id, file, words: new Uint32Array(file.buffer), door: createExits(cpu) });
      irqchip?.addVcpu(id);
      decide({ kind: 'VcpuCreated', id });
      activate(id);
      resetCpu(cpu);
      cpu.fcw = FCW_INITIAL;
      // "EDX: family, model, stepping" (APM Vol. 2, table 14-1).
      cpu.rdx = BigInt(capability.signature);
      if (id !== 0) {
        cpu.apicBase &= ~0x100n;
        cpu.activity = Activity.waitForSipi;
      }
      runner.refresh();
    },
    changed() {
      runner.refresh();
      synchronise();
    },
    createIrqchip() {
      if (irqchip !== undefined) throw new Errno('EEXIST', 'the VM has interrupt controllers already');
      if (slots.length > 0) throw new Errno('EINVAL', 'interrupt controllers come before the first vCPU');
      irqchip = createIrqchip({
        tscKhz: config.tscKhz, tscDeadline: capability.has('tsc-deadline'),
        wires: {
          raise(index, events) { setPending(index, 0, events); },
          lower(index, events) { setPending(index, events, 0); },
          tsc: () => runner.hostTsc(),
          setCr8(value) { cpu.cr8 = value; },
        },
      });
    },
    setIrqLine(gsi, high) {
      if (irqchip === undefined) throw new Errno('ENXIO', 'the VM has no interrupt controllers');
      irqchip.setLine(gsi, high);
    },
    isA20Open: () => state.a20Closed !== true,
    setA20(open) {
      if (open === machine.isA20Open()) return;
      decide({ kind: open ? 'A20Opened' : 'A20Closed' });
      runner.gateMoved();
    },
    isRunnable: (id) => isRunnable(slotOf(id)),
    idle() {
      const due = irqchip?.due() ?? Infinity;
      if (irqchip === undefined || due === Infinity) return false;
      slept[0]! += Math.max(0, due - runner.now());
      runner.clockMoved();
      irqchip.expire(runner.now());
      return true;
    },
    now: () => runner.now(),
    icount(id) {
      const slot = slotOf(id);
      return BigInt(wordOf(slot, 'icount')) | BigInt(slot === active ? cpu.u32[(placeOf('icount') >> 2) + 1]! : slot.words[(placeOf('icount') - VCPU_FILE >> 2) + 1]!) << 32n;
    },
    retired: () => Number(runner.icount()) + slots.reduce((sum, slot) => slot === active ? sum : sum + countOf(slot.words), 0),
    run(id, until) {
      if (active === undefined || active.id !== id) activate(id);
      return runner.run(until);
    },
    readMsr: (index) => orInvalid(index, () => readMsr(runner.machine, index)),
    writeMsr(index, value) {
      orInvalid(index, () => writeMsr(runner.machine, index, value));
      machine.changed();
    },
    readPhysical64: (physical) => runner.machine.memory.readPhysical64(physical),
    translate(id, linear) {
      activate(id);
      if (isLongMode(cpu) ? !isCanonical(cpu, linear) : linear >> 32n !== 0n) return undefined;
      const low = Number(linear & 0xffffffffn), high = Number(BigInt.asIntN(64, linear) >> 32n), { walker } = tlb;
      return walker.walk(low | 0, high, Reason.quiet | Reason.implicit) === -1 ? walker.frame * PAGE_SIZE + low % PAGE_SIZE : undefined;
    },
    digest(id) {
      activate(id);
      return digestText(digests.vcpu());
    },
    saveVcpu(id) {
      activate(id);
      return encodeVcpu(cpu);
    },
    loadVcpu(id, bytes) {
      activate(id);
      decodeVcpu(cpu, bytes);
      active!.door.clear();
      runner.refresh();
      runner.clockMoved();
    },
    setMemoryRegion(region) {
      const error = checkSlot(ram.size, state.slots, region);
      if (error !== undefined) throw new Errno(error, `memory slot ${region.slot} cannot be set`);
      decide({ kind: 'MemoryRegionSet', region: { ...region } });
      remap();
    },
    readMemory(guestPhysical, length) {
      const bytes = new Uint8Array(length);
      eachPage(guestPhysical, length, (page, offset, at, part) => {
        const host = hostOfPage(page) + offset;
        bytes.set(cpu.u8.subarray(host, host + part), at);
      });
      return bytes;
    },
    writeMemory(guestPhysical, bytes) {
      eachPage(guestPhysical, bytes.length, (page, offset, at, part) => {
        runner.access.storePhysical(page, offset, bytes.subarray(at, at + part));
      });
    },
    takeDirtyPages() {
      tlb.dropWrites();
      const dirty: number[] = [];
      for (let page = ram.nextPage(PageFlag.dirty, 0); page !== -1; page = ram.nextPage(PageFlag.dirty, page + 1)) {
        ram.flags[page]! &= ~PageFlag.dirty;
        dirty.push(page);
      }
      return Uint32Array.from(dirty);
    },
    ramPage(page) {
      checkPage(page);
      return cpu.u8.subarray(hostOfPage(page), hostOfPage(page) + PAGE_SIZE);
    },
    restoreRamPage(page, bytes) {
      checkPage(page);
      if (bytes.length !== PAGE_SIZE) throw new Errno('EINVAL', `a page has ${PAGE_SIZE} bytes, not ${bytes.length}`);
      runner.access.storePhysical(page, 0, bytes);
    },
    memoryDigest: () => digestText(digests.memory()),
    accessDigest: () => slots.map(({ door }) => digestText(door.digest())).join('-'),
    saveState: () => ({ ...state, accesses: slots.map(({ door }) => door.digest()), slept: slept[0]!, ...(irqchip === undefined ? {} : { irqchip: irqchip.save() }) }),
    loadState(saved) {
      const loaded = checkedState(saved, ram.size, state);
      state = { slots: loaded.slots, vcpus: state.vcpus, random: loaded.random, ...(loaded.a20Closed === true ? { a20Closed: true } : {}) };
      slots.forEach(({ door }, index) => {
        door.clear();
        door.setDigest(loaded.accesses[index]!);
      });
      slept[0] = loaded.slept;
      if (irqchip !== undefined && loaded.irqchip !== undefined) irqchip.load(loaded.irqchip);
      runner.clockMoved();
      remap();
      runner.gateMoved();
    },
  };
  return machine;
}

const countOf = (words: Uint32Array): number => {
  const at = placeOf('icount') - VCPU_FILE >> 2;
  return words[at + 1]! * 2 ** 32 + words[at]!;
};

function engineOf(tier: Tier, memory: WebAssembly.Memory, cpu: Cpu, services: Services, capability: Capabilities): Engine {
  const has = (feature: string): boolean => capability.has(feature);
  return tier === 'reference' ? createReference({ cpu, services, has }) : createEngine(tier, { memory, cpu, services, has });
}

function orInvalid<T>(index: number, access: () => T): T {
  try {
    return access();
  } catch (thrown) {
    if (thrown instanceof GuestFault) throw new Errno('EINVAL', `MSR 0x${index.toString(16)} does not allow this`);
    throw thrown;
  }
}

/** A saved state may come from a stranger's journal: what does not fit is refused. */
function checkedState(saved: unknown, ramSize: number, present: VmState): SavedVm {
  const refuse = (what: string): never => { throw new Errno('EINVAL', `the saved VM state has ${what}`); };
  const { slots, random, vcpus, accesses, slept, irqchip, a20Closed } = (saved ?? {}) as Partial<SavedVm>;
  if (!Array.isArray(slots) || !Array.isArray(vcpus) || !Array.isArray(accesses) || typeof random !== 'object') return refuse('another shape');
  if (vcpus.length !== present.vcpus.length || vcpus.some((id, index) => id !== present.vcpus[index]) || accesses.length !== vcpus.length) return refuse('other vCPUs');
  const checked: Slot[] = [];
  for (const { slot, flags, guestPhysical, size, ramOffset } of slots as Slot[]) {
    const region = { slot, flags, guestPhysical, size, ramOffset };
    if (![slot, flags].every(Number.isInteger) || checkSlot(ramSize, checked, region) !== undefined) return refuse('an impossible memory slot');
    checked.push(region);
  }
  if (typeof slept !== 'number' || !Number.isSafeInteger(slept) || slept < 0) return refuse('an impossible time');
  if (irqchip !== undefined && irqchip.lapics?.length !== vcpus.length) return refuse('other local APICs');
  if (a20Closed !== undefined && a20Closed !== true) return refuse('an impossible A20 gate');
  const { drawn } = random;
  if (!Number.isSafeInteger(drawn) || drawn < 0) return refuse('an impossible random generator');
  return {
    slots: checked, vcpus, random: { seed: BigInt.asUintN(64, BigInt(random.seed)), drawn },
    accesses: accesses.map((pair: readonly number[]) => [Number(pair[0]) >>> 0, Number(pair[1]) >>> 0] as const),
    slept, ...(irqchip === undefined ? {} : { irqchip }), ...(a20Closed === undefined ? {} : { a20Closed }),
  };
}
