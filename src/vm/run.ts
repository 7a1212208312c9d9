// The run loop of a vCPU: how many instructions may run before something is due, what happens between two instructions, and what a stop
// means. Implements `Services` for the engines and `Machine` for system instructions, so it is the one place where a guest fault is
// caught, user space is asked and time advances. Called by `vm.ts`; it must not know who drives the VM.
import { onPrototype } from '../cpu/accessors.ts';
import { codeSizeOf, CR4, is64Bit } from '../cpu/controls.ts';
import { Done, Stop, type Engine, type Services, type SystemStep } from '../cpu/engine.ts';
import { IOPL, RF, TF, VM } from '../cpu/flags.ts';
import { Activity, Pending, placeOf, placeOfArea, placeOfGeneral, RAM, VCPU_FILE, type Cpu } from '../cpu/state.ts';
import { placeOfMsr } from '../cpu/msrs.ts';
import { wideOf } from '../cpu/wide.ts';
import { decode } from '../isa/decode.ts';
import type { Instruction } from '../isa/instruction.ts';
import { PAGE_SIZE } from '../memory/addresses.ts';
import { hostOfPage, pageOfEntry, type Ram } from '../memory/ram.ts';
import type { Tlb } from '../memory/tlb.ts';
import { Reason } from '../memory/walk.ts';
import type { Capabilities } from '../model/capabilities.ts';
import { hasBranched, recordBranch, recordEvent } from '../system/branches.ts';
import { BreakOn, DEBUGCTL, executeBreakpoints, watchedConditions } from '../system/debug.ts';
import { deliverException, deliverInterrupt, injectEvent } from '../system/deliver.ts';
import { endbranchViolation, mayFollowBranch, waitsForEndbranch } from '../system/guard.ts';
import { interceptInstruction } from '../system/intercepts.ts';
import { EmulationFailure, GuestExit, GuestFault, GuestShutdown, NeedsUserspace, type Machine } from '../system/machine.ts';
import {
  acceptsInterrupt, acceptsNmi, control64Of, controlOf, hasVirtualEvent, isIntercepted, isVirtualInterruptDue, isVirtualNmiDue, setVirtualInterrupt,
} from '../system/nested.ts';
import { prepareVmrun } from '../system/svm.ts';
import { initialise, startUp } from '../transitions/init.ts';
import { shutDown, type ShutdownCause } from '../transitions/shutdown.ts';
import { enterSmm } from '../transitions/smm/enter.ts';
import { resumeFromSmm } from '../transitions/smm/resume.ts';
import { enterGuest } from '../transitions/svm/enter.ts';
import { leaveGuest, type Vmexit } from '../transitions/svm/exit.ts';
import { Control, Exit, exitOf, Intercept1, VirtualInterrupt } from '../transitions/svm/vmcb.ts';
import type { IoInstruction } from '../transitions/smm/save-area.ts';
import { createAccess, NESTED_PAGE_FAULT, nestedPageFault, type AccessPaths } from './access.ts';
import type { ExitDoor, PortSize, VcpuExit } from './exits.ts';
import type { Irqchip } from './irqchip.ts';
import { createPaging, obeysA20 } from './paging.ts';
import { controlWords, prepare, type Step } from './step.ts';
import { createTransit, type Transition } from './transit.ts';

const word = (name: Parameters<typeof placeOf>[0]): number => placeOf(name) >> 2;
const BUDGET = word('budget'), ICOUNT = word('icount'), FLAGS = word('rflagsSystem'), RIP = word('rip'), NEXT_RIP = word('nextRip');
const ACTIVITY = word('activity'), PENDING = word('pending'), SHADOW = word('interruptShadow'), PENDING_DEBUG = word('pendingDebug');
const CPL = word('cpl'), CR4_WORD = word('cr4'), DR7_WORD = word('dr7');
const TSC_OFFSET = word('tscOffset'), GUEST_MODE = word('guestMode');
const SMM = word('smm'), GIF = word('gif'), DEBUG_CTL = word('debugCtl');
const FAULT_VECTOR = word('faultVector'), FAULT_CODE = word('faultErrorCode');
const RAX = placeOfGeneral(0), RDX = placeOfGeneral(2);
const FILE = VCPU_FILE >> 2, V_INTR = placeOfArea('nestedControl') + Control.interrupt >> 2;

/** The most that one `Engine.run` may retire. */
const LONGEST = 2 ** 30;
/** Events delivered without a single instruction retired, after which the vCPU will never get anywhere. */
const FRUITLESS_DELIVERIES = 1 << 16;
/** struct kvm_run.internal.suberror: KVM_INTERNAL_ERROR_DELIVERY_EV. */
const DELIVERY_FAILED = 3;
/** KVM_INTERNAL_ERROR_EMULATION. */
const EMULATION_FAILED = 1;
/** Ticks that an instruction takes for which a guest leaves to KVM, roughly as on processors: guests that count such round trips in ticks
 * of the TSC get to their end, and a wait that polls a device does not last millions of polls. */
const EXIT_TICKS = 1000;
/** Ticks that PAUSE takes: about as many as on processors since Skylake. A guest that spins until something happens gets there sooner. */
const PAUSE_TICKS = 128;
const BS = 0x4000, LBR = Number(DEBUGCTL.LBR), BTF = Number(DEBUGCTL.BTF);
const VIRTUAL_EVENTS = VirtualInterrupt.irq | VirtualInterrupt.nmi;
const DB = 1, NMI = 2, PF = 14, SX = 30;
/** The bytes of F3 0F 1E FA and F3 0F 1E FB. */
const ENDBR64 = 0xfa1e0ff3, ENDBR32 = 0xfb1e0ff3;
/** VM_CR.R_INIT turns INIT into #SX with this error code (APM Vol. 2, 15.28). */
const VM_CR_R_INIT = 2n, INIT_REDIRECTED = 1;

export interface RunnerParts {
  readonly cpu: Cpu;
  readonly ram: Ram;
  readonly tlb: Tlb;
  readonly capability: Capabilities;
  readonly door: ExitDoor;
  readonly createEngine: (services: Services) => Engine;
  random(): bigint;
  /** The A20 gate of the VM. */
  isA20Closed(): boolean;
  onTransition(transition: Transition): void;
  /** An exception, NMI or interrupt is about to be delivered; `check` is the consistency check that raised it, where there is one. */
  onDelivery(kind: 'exception' | 'nmi' | 'external', vector: number, errorCode: number, address: bigint, check: string | undefined): void;
  /** Time passes without an instruction. */
  letPass(ticks: number): void;
  /** Time is the active vCPU's instruction count plus this: what other vCPUs have retired, and what was passed over while all of them slept. */
  clockBase(): number;
}

export interface Runner {
  readonly machine: Machine;
  readonly engine: Engine;
  readonly access: AccessPaths;
  /** Whose exits the next `run` makes: every vCPU has a door of its own. */
  setDoor(door: ExitDoor): void;
  /** Interrupt controllers, and the place of the active vCPU among theirs. */
  setIrqchip(irqchip: Irqchip | undefined, place: number): void;
  /** The clock was moved from outside. */
  clockMoved(): void;
  /** The A20 gate was opened or closed. */
  gateMoved(): void;
  /** The VM's time. */
  now(): number;
  /** Runs the active vCPU until an exit, or until it has retired `until` instructions. */
  run(until: bigint | undefined): VcpuExit;
  /** The vCPU file was replaced (another vCPU's turn, a loaded state, new registers): nothing that was derived from it holds. */
  refresh(): void;
  /** Another vCPU became the active one. */
  switched(): void;
  /** The TSC outside nested guests. */
  hostTsc(): bigint;
  /** Instructions retired so far, exact even in the middle of a run. */
  icount(): bigint;
}

export function createRunner(parts: RunnerParts): Runner {
  const { cpu, ram, tlb, capability } = parts;
  const { u8, u32 } = cpu;
  let door = parts.door;
  let irqchip: Irqchip | undefined, place = 0;
  /** One number that is no small integer: in a variable each change of it would allocate. */
  const clockBase = new Float64Array(1);

  /** What the budget was when the engine was entered; 0 outside. */
  let entered = 0;
  /** One instruction runs by itself: breakpoints may be latched, answers belong to it. */
  let alone = false;
  /** The next instruction has to run by itself because it hit a data breakpoint. */
  let repeatAlone = false;
  let armedExecute = false;
  /** Code or its mapping changed while TypeScript did an instruction. */
  let touched = false;
  /** The last system instruction does not trap although TF was set: INT n and its like clear TF themselves. */
  let withoutTrap = false;
  let fruitless = 0;

  const access = createAccess(cpu, ram, tlb, {
    mmioRead(address, length, host) {
      if (irqchip?.claims(place, address) !== true) return door.mmioRead(address, length, host);
      irqchip.read(place, address, length, u8, host, now());
      return true;
    },
    mmioWrite(address, length, host) {
      if (irqchip?.claims(place, address) !== true) return door.mmioWrite(address, length, host);
      irqchip.write(place, address, length, u8, host, now());
      return true;
    },
    mustLook: () => irqchip?.takeTouched() === true,
    isAlone: () => {
      if (!alone) repeatAlone = true;
      return alone;
    },
    codeWritten(ramOffset, length) {
      touched = true;
      engine.invalidateCode(ramOffset, length);
    },
    mappingChanged() {
      touched = true;
      engine.flushAddresses();
    },
  });

  // ── Time ──

  function addRetired(used: number): void {
    const low = u32[ICOUNT]! + used;
    u32[ICOUNT] = low;
    if (low > 0xffffffff) u32[ICOUNT + 1]!++;
  }
  const icount = (): bigint => wideOf(retired());
  const retired = (): number => u32[ICOUNT + 1]! * 2 ** 32 + u32[ICOUNT]! + (entered - u32[BUDGET]!);
  const now = (): number => retired() + clockBase[0]!;

  const paging = createPaging({
    cpu, ram, tlb, capability, readPhysical32: access.memory.readPhysical32, isA20Closed: parts.isA20Closed,
    onChange(space, known) {
      touched = true;
      engine.enterSpace(space, known);
    },
  });

  function armBreakpoints(): void {
    const conditions = watchedConditions(cpu);
    armedExecute = (conditions & 1 << BreakOn.execute) !== 0;
    if (conditions === 0) return watch(NO_PAGES);
    const pages: { low: number; high: number }[] = [];
    if ((conditions & (1 << BreakOn.write | 1 << BreakOn.readOrWrite)) !== 0) {
      for (const address of [cpu.dr0, cpu.dr1, cpu.dr2, cpu.dr3]) pages.push({ low: Number(address & 0xfffff000n), high: Number(address >> 32n) });
    }
    watch(pages);
  }
  function watch(pages: Parameters<Tlb['setWatched']>[0]): void {
    tlb.setWatched(pages);
    access.setWatching(pages.length > 0);
  }

  /** The vCPU left for a port and is in the mode in which it left. */
  let isUnmoved = false;

  function refresh(): void {
    paging.forget();
    switched();
  }

  /** Another vCPU's file is active. The TLB is coherent with the tables, so vCPUs with one paging context share it. */
  function switched(): void {
    paging.update();
    paging.noteAc();
    armBreakpoints();
    repeatAlone = false;
    touched = true;
    isUnmoved = false;
  }

  // ── World switches ──

  const transit = createTransit({
    cpu, ram, capability, masksA20: () => parts.isA20Closed() && obeysA20(cpu),
    storePhysical: access.storePhysical, onSwitch: switched, onTransition: parts.onTransition,
  });

  /** RSM inside system-management mode. What the area holds may be illegal: then the vCPU shuts down. */
  function resume(): Done {
    if (transit('Rsm', resumeFromSmm, {}).stop === 'shutdown') shutdown('RSM');
    withoutTrap = true;
    return Done.attention;
  }

  /** The last I/O instruction that user space answered with an SMI, and the count behind it. */
  let lastIo: IoInstruction | undefined, lastIoAt = 0n;
  function noteIo(port: number, size: PortSize, isInput: boolean, before: Pick<IoInstruction, 'rip' | 'rcx' | 'rsi' | 'rdi'>): void {
    const isRepeated = cpu.rcx !== before.rcx, isString = isRepeated || cpu.rsi !== before.rsi || cpu.rdi !== before.rdi;
    lastIo = { port, size, isInput, isString, isRepeated, ...before };
    lastIoAt = cpu.icount;
  }
  const ioBefore = (): Pick<IoInstruction, 'rip' | 'rcx' | 'rsi' | 'rdi'> => ({ rip: cpu.rip, rcx: cpu.rcx, rsi: cpu.rsi, rdi: cpu.rdi });

  /** SMIs wait in system-management mode, and while GIF is clear; in an interrupt shadow processors may choose. */
  const isSmiDue = (): boolean =>
    (u32[PENDING]! & Pending.smi) !== 0 && u32[SMM] === 0 && u32[GIF] !== 0
    && (u32[SHADOW] === 0 || capability.behaviour('smm.interrupt-shadow') !== 'held');
  // ── Nested guests ──

  /** A guest's exit that has been thrown, until the engine has stopped. */
  let leaving: Vmexit | GuestShutdown | EmulationFailure | undefined, faultDuring = 0, faultCheck: string | undefined;

  function leave(exit: Vmexit): VcpuExit | 'delivered' {
    const { stop } = transit('VmExit', leaveGuest, withInstruction(exit));
    paging.noteAc();
    if (stop !== 'shutdown') return 'delivered';
    // The VMCB is gone, or the host's own page tables are illegal: of all that could intercept it nothing is left (KVM: 1b30e7551767, 5d291ef0585e).
    u32[GUEST_MODE] = 0;
    switched();
    return shutdown('triple fault');
  }
  const event = (code: number): VcpuExit | 'delivered' => leave({ code, info1: 0n, info2: 0n, nextRip: 0n });
  const intercepts = (bit: number): boolean => u32[GUEST_MODE] !== 0 && isIntercepted(cpu, Control.intercept1, bit);

  /** Decode assists: the bytes at RIP, as far as they can be read, for page faults of data accesses (APM Vol. 2, 15.8.4). */
  function withInstruction(exit: Vmexit): Vmexit {
    const isData = (exit.code === Exit.NPF || exit.code === Exit.EXCEPTION + PF) && (exit.info1 & 0x10n) === 0n;
    if (!isData || !capability.has('decodeassists')) return exit;
    return { ...exit, instruction: bytesAtRip() };
  }

  /** The bytes of the instruction at RIP, as far as they can be read. */
  function bytesAtRip(): Uint8Array {
    const linear = BigInt.asUintN(is64Bit(cpu) ? 64 : 32, cpu.rip + (is64Bit(cpu) ? 0n : cpu.cs.base)), bytes: number[] = [];
    for (let at = linear; at < linear + 15n; at++) {
      const { walker } = tlb;
      if (walker.walk(Number(at & 0xffffffffn) | 0, Number(BigInt.asIntN(64, at) >> 32n), Reason.quiet | Reason.fetch | (u32[CPL] === 3 ? Reason.user : 0)) !== -1) break;
      const entry = ram.entryOfFrame(walker.frame);
      if (entry === 0) break;
      bytes.push(u8[hostOfPage(pageOfEntry(entry)) + Number(at & 0xfffn)]!);
    }
    return Uint8Array.from(bytes);
  }

  /** VMRUN. What it injects is delivered at once: the guest's first instruction is that of the handler. */
  function enter(instruction: Instruction): Done {
    const address = prepareVmrun(machine, instruction), nextRip = cpu.nextRip;
    const { fault, stop, inject } = transit('Vmrun', enterGuest, { address, nextRip });
    if (fault !== undefined) throw new GuestFault(fault.vector, fault.errorCode);
    if (stop === 'internal-error') throw new EmulationFailure();
    // A trap flag of the host counts when the host goes on (APM Vol. 2, 15.5.1).
    withoutTrap = u32[GUEST_MODE] !== 0;
    if (inject === undefined) return Done.attention;
    cpu.nextRip = capability.has('nrip-save') && inject.type !== 'external' && inject.type !== 'nmi' ? control64Of(cpu, Control.nextRip) : cpu.rip;
    try {
      if (injectEvent(machine, inject) === 'shutdown') throw new GuestShutdown();
    } catch (thrown) {
      // VMRUN is over: the guest's exit is not its fault.
      if (thrown instanceof GuestExit) leave(thrown.exit);
      else if (thrown instanceof GuestShutdown && intercepts(Intercept1.SHUTDOWN)) event(exitOf.SHUTDOWN);
      else if (thrown instanceof GuestShutdown) u32[ACTIVITY] = Activity.shutdown;
      else if (!(thrown instanceof NeedsUserspace)) throw thrown;
    }
    return Done.attention;
  }

  /** What a guest wants that never comes to its hypervisor any other way. */
  function resolve(thrown: Vmexit | GuestShutdown | EmulationFailure): VcpuExit | undefined {
    if (thrown instanceof EmulationFailure) return { reason: 'InternalError', suberror: EMULATION_FAILED, data: [cpu.rip] };
    const due = thrown instanceof GuestShutdown ? shutdown('triple fault') : leave(thrown);
    return due === 'delivered' ? undefined : due;
  }

  const isInitDue = (): boolean => (u32[PENDING]! & Pending.init) !== 0 && u32[SMM] === 0 && u32[GIF] !== 0;

  function takeSmi(): 'delivered' {
    u32[PENDING]! &= ~Pending.smi;
    transit('Smi', enterSmm, { io: lastIo !== undefined && lastIoAt === cpu.icount ? lastIo : undefined });
    lastIo = undefined;
    paging.noteAc();
    return 'delivered';
  }

  /** An SMI is due that came with the instruction just done. What that was is no part of the state, so no run ends between the two. */
  const isSmiOfIo = (): boolean =>
    lastIo !== undefined && lastIoAt === cpu.icount && isSmiDue() && !isInitDue() && !intercepts(Intercept1.SMI);

  const hostTsc = (): bigint => BigInt.asUintN(64, icount() + BigInt(clockBase[0]!) + cpu.tscOffset);
  const TSC_RATIO = placeOfMsr('tscRatio');
  /** "TSC = host TSC * TSC_RATIO + TSC_OFFSET" (APM Vol. 2, 15.30.5). The MSR is kept as the difference from 1.0. */
  function guestTsc(tsc: bigint): bigint {
    const ratio = cpu.u64[TSC_RATIO]!, scaled = ratio === 0n || !capability.has('tsc-scale') ? tsc : tsc * (ratio ^ 1n << 32n) >> 32n;
    return BigInt.asUintN(64, scaled + control64Of(cpu, Control.tscOffset));
  }

  // ── The machine, as system instructions see it ──

  const machine: Machine = {
    cpu, capability,
    memory: access.memory,
    tsc: () => u32[GUEST_MODE] === 0 ? hostTsc() : guestTsc(hostTsc()),
    hostTsc,
    random: () => parts.random(),
    pause: letPause,
    portIn(port, size) {
      if (irqchip?.hasPort(port) === true) return kernelPortIn(irqchip, port, size);
      const value = door.portIn(port, size);
      if (value < 0) throw new NeedsUserspace();
      return value;
    },
    portOut(port, size, value) {
      if (irqchip?.hasPort(port) === true) return kernelPortOut(irqchip, port, size, value);
      if (!door.portOut(port, size, value)) throw new NeedsUserspace();
    },
    flushTlb: paging.update,
    // The TLB is coherent with the tables.
    flushPage: () => undefined,
    debugRegistersChanged: armBreakpoints,
  };

  /** Wider accesses are one byte after the other; ports in between that are not the kernel's read as ones. */
  function kernelPortIn(chip: Irqchip, port: number, size: PortSize): number {
    let value = 0;
    for (let byte = size - 1; byte >= 0; byte--) value = value << 8 | (chip.hasPort(port + byte) ? chip.readPort(port + byte, now()) : 0xff);
    return value >>> 0;
  }
  function kernelPortOut(chip: Irqchip, port: number, size: PortSize, value: number): void {
    for (let byte = 0; byte < size; byte++) if (chip.hasPort(port + byte)) chip.writePort(port + byte, value >>> 8 * byte & 0xff, now());
  }

  function raise(fault: GuestFault): Done {
    u32[FAULT_VECTOR] = fault.vector;
    u32[FAULT_CODE] = fault.errorCode;
    cpu.faultAddress = fault.address;
    faultDuring = fault.during;
    faultCheck = fault.check;
    return Done.fault;
  }

  function system(step: SystemStep): Done {
    const { instruction, way, execute, trap, exits, reachesApic, keepsCode } = step as Step;
    if (way !== 'usual') {
      const done = u32[GUEST_MODE] === 0 ? quickly(step as Step) : quicklyInGuest(way);
      if (done !== undefined) return done;
    }
    touched = false;
    let done: Done;
    try {
      if (u32[GUEST_MODE] !== 0) {
        const exit = interceptInstruction(machine, instruction);
        if (exit !== undefined) {
          leaving = exit;
          return Done.fault;
        }
      }
      if (way === 'rsm' && u32[SMM] !== 0) return resume();
      done = way === 'vmrun' ? enter(instruction) : execute(machine, instruction);
    } catch (thrown) {
      if (thrown instanceof GuestExit || thrown instanceof GuestShutdown || thrown instanceof EmulationFailure) {
        leaving = thrown instanceof GuestExit ? thrown.exit : thrown;
        return Done.fault;
      }
      if (thrown instanceof GuestFault) return raise(thrown);
      if (thrown instanceof NeedsUserspace) return Done.userspace;
      throw thrown;
    }
    paging.noteAc();
    withoutTrap = trap === 'never' || (trap === 'by-flags' && (u32[FLAGS]! & TF) === 0);
    // RF keeps one instruction from instruction breakpoints, and when none is armed nobody can tell: the handler of a fault returns with
    // it set, and the instruction that is tried again need not run by itself.
    if ((u32[FLAGS]! & RF) !== 0 && !armedExecute && u32[PENDING] === 0) u32[FLAGS]! &= ~RF;
    if (irqchip !== undefined && reachesApic) irqchip.synchronise(place, cpu.cr8, cpu.apicBase, now());
    if (done > Done.attention) return done;
    if (exits) letPass(EXIT_TICKS);
    if (mustLook() || (irqchip !== undefined && (irqchip.takeTouched() || irqchip.due() <= now()))) return Done.attention;
    if (touched) return Done.moved;
    return done === Done.next || keepsCode ? Done.next : Done.moved;
  }

  /** What is done many times, where nothing is special about the moment. */
  function quickly(step: Step): Done | undefined {
    switch (step.way) {
      case 'port': return isPlainPort() ? askPort(step.port!) : undefined;
      case 'pause': return mustLook() ? undefined : pause();
      case 'time': return u32[CPL] === 0 && !mustLook() ? readTime() : undefined;
      case 'control': return u32[CPL] === 0 && !mustLook() ? readControl(step.instruction) : undefined;
      default: return undefined;
    }
  }

  /** A nested guest that waits for the time, which nobody intercepts. */
  function quicklyInGuest(way: Step['way']): Done | undefined {
    if ((way !== 'pause' && way !== 'time') || mustLook() || intercepts(way === 'pause' ? Intercept1.PAUSE : Intercept1.RDTSC)) return undefined;
    if (way === 'pause') return pause();
    if (u32[CPL] !== 0) return undefined;
    const time = guestTsc(hostTsc());
    u32[RAX >> 2] = Number(time & 0xffffffffn);
    u32[(RAX >> 2) + 1] = 0;
    u32[RDX >> 2] = Number(time >> 32n);
    u32[(RDX >> 2) + 1] = 0;
    u32[RIP] = u32[NEXT_RIP]!;
    u32[RIP + 1] = u32[NEXT_RIP + 1]!;
    return Done.next;
  }

  function letPass(ticks: number): void {
    clockBase[0]! += ticks;
    parts.letPass(ticks);
  }
  function letPause(): void {
    letPass(PAUSE_TICKS);
  }
  /** PAUSE, the frequent way. */
  function pause(): Done {
    letPause();
    u32[RIP] = u32[NEXT_RIP]!;
    u32[RIP + 1] = u32[NEXT_RIP + 1]!;
    return irqchip !== undefined && irqchip.due() <= now() ? Done.attention : Done.next;
  }
  /** RDTSC, the frequent way: guests wait for the time by reading it. */
  function readTime(): Done {
    const time = now(), lowTime = time >>> 0, low = lowTime + u32[TSC_OFFSET]!;
    u32[RAX >> 2] = low;
    u32[(RAX >> 2) + 1] = 0;
    u32[RDX >> 2] = (time - lowTime) / 2 ** 32 + u32[TSC_OFFSET + 1]! + (low > 0xffffffff ? 1 : 0);
    u32[(RDX >> 2) + 1] = 0;
    u32[RIP] = u32[NEXT_RIP]!;
    u32[RIP + 1] = u32[NEXT_RIP + 1]!;
    return Done.next;
  }

  function readControl({ operands: [destination, source] }: Instruction): Done | undefined {
    if (destination?.kind !== 'register' || source?.kind !== 'register') return undefined;
    const from = controlWords[source.number]!, to = placeOfGeneral(destination.number) >> 2;
    u32[to] = u32[from]!;
    u32[to + 1] = destination.width === 64 ? u32[from + 1]! : 0;
    u32[RIP] = u32[NEXT_RIP]!;
    u32[RIP + 1] = u32[NEXT_RIP + 1]!;
    letPass(EXIT_TICKS);
    return irqchip !== undefined && irqchip.due() <= now() ? Done.attention : Done.next;
  }

  /** Whether something must happen before the next instruction. */
  const mustLook = (): boolean =>
    (u32[PENDING]! | u32[SHADOW]! | u32[PENDING_DEBUG]! | u32[ACTIVITY]! | u32[FLAGS]! & (TF | RF) | u32[DEBUG_CTL]! & LBR | (u32[GUEST_MODE] !== 0 ? u32[V_INTR]! & VIRTUAL_EVENTS : 0)) !== 0
    || armedExecute || (cet() && waitsForEndbranch(cpu));
  /** Control-flow enforcement is on somewhere. */
  const cet = (): boolean => (u32[CR4_WORD]! & CR4.CET) !== 0;

  // ── IN and OUT, the frequent way: permitted by IOPL, no I/O breakpoint ──

  const isPlainPort = (): boolean =>
    u32[DR7_WORD] === 0x400 && !door.hasAnswers()
    && (u32[CPL] === 0 ? (u32[FLAGS]! & VM) === 0 : (u32[FLAGS]! & VM) === 0 && u32[CPL]! <= (u32[FLAGS]! & IOPL) >>> 12);

  /** `undefined`: the port is not user space's. */
  function askPort({ fixed, size, isInput }: NonNullable<Step['port']>): Done | undefined {
    const port = fixed >= 0 ? fixed : u32[RDX >> 2]! & 0xffff;
    if (irqchip?.hasPort(port) === true) return undefined;
    door.openPort(isInput, port, size, isInput ? 0 : u32[RAX >> 2]!);
    isUnmoved = true;
    return Done.userspace;
  }

  /** User space has answered an IN or OUT: the instruction retires without being executed again. */
  function finishPort(): void {
    const { reason, port, size } = door.exit() as Extract<VcpuExit, { size: PortSize }>;
    const value = door.closePort(), before = (u32[PENDING]! & Pending.smi) === 0 ? undefined : ioBefore();
    if (reason === 'IoIn') {
      if (size === 4) {
        u32[RAX >> 2] = value;
        u32[(RAX >> 2) + 1] = 0;
      } else {
        u8[RAX] = value;
        if (size === 2) u8[RAX + 1] = value >>> 8;
      }
    }
    u32[RIP] = u32[NEXT_RIP]!;
    u32[RIP + 1] = u32[NEXT_RIP + 1]!;
    addRetired(1);
    letPass(EXIT_TICKS);
    fruitless = 0;
    if (before !== undefined) noteIo(port, size, reason === 'IoIn', before);
    if ((u32[FLAGS]! & (TF | RF) | u32[SHADOW]!) !== 0) endAlone((u32[FLAGS]! & TF) !== 0);
  }

  /** After an instruction that ran by itself: RF and the shadow are over, and a single-step trap is due. */
  function endAlone(trap: boolean): void {
    u32[SHADOW] = 0;
    u32[FLAGS]! &= ~RF;
    if (trap) u32[PENDING_DEBUG]! |= BS;
  }

  // ── Between two instructions ──

  const isAmd = (): boolean => capability.vendor === 'AuthenticAMD' || capability.vendor === 'HygonGenuine';

  /** Delivers the event that comes first (APM Vol. 2, 8.5, table 8-8): SMI, traps of the instruction before, NMI, external interrupt, then
   * instruction breakpoints. `undefined`: nothing was due. An instruction that user space is answering is finished first. */
  function deliverDue(): VcpuExit | 'delivered' | undefined {
    if (door.hasAnswers()) return undefined;
    if (isSmiDue()) return intercepts(Intercept1.SMI) ? event(exitOf.SMI) : takeSmi();
    const shadow = u32[SHADOW]!;
    if ((u32[PENDING_DEBUG]! | u32[PENDING_DEBUG + 1]!) !== 0 && shadow !== 2) {
      const causes = cpu.pendingDebug;
      cpu.pendingDebug = 0n;
      return exception(DB, 0, causes);
    }
    // An intercept takes the event away before the shadow could hold it back.
    if ((u32[PENDING]! & Pending.nmi) !== 0 && intercepts(Intercept1.NMI) && acceptsNmi(u32, FILE)) return event(exitOf.NMI);
    if ((u32[PENDING]! & Pending.interrupt) !== 0 && intercepts(Intercept1.INTR) && acceptsInterrupt(u32, FILE)) return event(exitOf.INTR);
    if (shadow === 0) {
      if ((u32[PENDING]! & Pending.nmi) !== 0 && acceptsNmi(u32, FILE)) {
        u32[PENDING]! &= ~Pending.nmi;
        return interrupt(NMI, 'nmi');
      }
      if ((u32[PENDING]! & Pending.interrupt) !== 0 && acceptsInterrupt(u32, FILE)) {
        if (irqchip !== undefined) return interrupt(irqchip.acknowledge(place), 'external');
        u32[PENDING]! &= ~Pending.interrupt;
        return interrupt(cpu.pendingVector, 'external');
      }
      if (u32[GUEST_MODE] !== 0 && (u32[V_INTR]! & VIRTUAL_EVENTS) !== 0) {
        const virtual = deliverVirtual();
        if (virtual !== undefined) return virtual;
      }
    }
    // On Intel processors MOV SS keeps instruction breakpoints back, too (SDM Vol. 3, 6.8.3); on AMD's it does not.
    if (armedExecute && (shadow !== 2 || isAmd()) && (u32[FLAGS]! & RF) === 0 && u32[ACTIVITY] === Activity.running) {
      const hits = executeBreakpoints(cpu, BigInt.asUintN(is64Bit(cpu) ? 64 : 32, cpu.rip + (is64Bit(cpu) ? 0n : cpu.cs.base)));
      if (hits !== 0) return exception(DB, 0, BigInt(hits));
    }
    return undefined;
  }

  /** What the control block holds for the guest. */
  function deliverVirtual(): VcpuExit | 'delivered' | undefined {
    if (isVirtualNmiDue(cpu, capability)) {
      setVirtualInterrupt(cpu, VirtualInterrupt.nmi, VirtualInterrupt.nmiMask);
      return interrupt(NMI, 'nmi');
    }
    if (!isVirtualInterruptDue(cpu, capability)) return undefined;
    if (intercepts(Intercept1.VINTR)) return event(exitOf.VINTR);
    setVirtualInterrupt(cpu, VirtualInterrupt.irq, 0);
    return interrupt(controlOf(cpu, Control.interruptVector) & 0xff, 'external');
  }

  function interrupt(vector: number, kind: 'nmi' | 'external'): VcpuExit | 'delivered' {
    parts.onDelivery(kind, vector, 0, 0n, undefined);
    return delivering(() => deliverInterrupt(machine, vector, kind));
  }
  function exception(vector: number, errorCode: number, address: bigint): VcpuExit | 'delivered' {
    parts.onDelivery('exception', vector, errorCode, address, faultCheck);
    faultCheck = undefined;
    const during = faultDuring === 0 ? undefined : { event: faultDuring, error: 0 };
    faultDuring = 0;
    return delivering(() => deliverException(machine, vector, errorCode, address, during));
  }

  function delivering(deliver: () => 'delivered' | 'shutdown'): VcpuExit | 'delivered' {
    u32[ACTIVITY] = Activity.running;
    u32[SHADOW] = 0;
    alone = true;
    isUnmoved = false;
    const from = cpu.rip;
    if (++fruitless > FRUITLESS_DELIVERIES) return internalError();
    let result: 'delivered' | 'shutdown';
    try {
      result = deliver();
    } catch (thrown) {
      // A descriptor table or a stack in device memory: KVM gives up likewise.
      if (thrown instanceof NeedsUserspace) {
        door.clear();
        return internalError();
      }
      if (thrown instanceof GuestExit) return leave(thrown.exit);
      throw thrown;
    }
    paging.noteAc();
    if ((u32[DEBUG_CTL]! & LBR) !== 0) recordEvent(cpu, from);
    return result === 'shutdown' ? shutdown('triple fault') : 'delivered';
  }

  const internalError = (): VcpuExit => ({ reason: 'InternalError', suberror: DELIVERY_FAILED, data: [cpu.rip] });

  function shutdown(cause: ShutdownCause): VcpuExit | 'delivered' {
    if (intercepts(Intercept1.SHUTDOWN)) return event(exitOf.SHUTDOWN);
    transit('shutdown', shutDown, { cause });
    return SHUTDOWN;
  }

  /** A halted vCPU wakes for what can be delivered. */
  const canWake = (): boolean =>
    isSmiDue() || (u32[PENDING_DEBUG]! | u32[PENDING_DEBUG + 1]!) !== 0
    || ((u32[PENDING]! & Pending.nmi) !== 0 && acceptsNmi(u32, FILE))
    || ((u32[PENDING]! & Pending.interrupt) !== 0 && acceptsInterrupt(u32, FILE))
    || hasVirtualEvent(u32, FILE);

  // ── The loop ──

  let lastUntil: bigint | undefined, untilLow = 0, untilHigh = 0;
  function setUntil(until: bigint | undefined): void {
    if (until === lastUntil) return;
    lastUntil = until;
    if (until === undefined) return;
    untilLow = Number(until & 0xffffffffn);
    untilHigh = Number(until >> 32n);
  }

  /** Instructions that may retire before something is due. */
  function remaining(): number {
    if (lastUntil === undefined) return LONGEST;
    const rest = (untilHigh - u32[ICOUNT + 1]!) * 2 ** 32 + (untilLow - u32[ICOUNT]!);
    return rest < LONGEST ? rest : LONGEST;
  }

  function run(until: bigint | undefined): VcpuExit {
    setUntil(until);
    if (door.isOpen()) {
      if (remaining() <= 0) return INTR;
      if (door.isPlainPort()) finishPort();
      else door.answer();
    }
    for (;;) {
      let budget = remaining();
      if (budget <= 0) {
        if (isSmiOfIo()) takeSmi();
        return INTR;
      }
      if (irqchip !== undefined) {
        irqchip.takeTouched();
        const left = irqchip.due() - now();
        if (left <= 0) {
          irqchip.expire(now());
          continue;
        }
        if (left < budget) budget = left;
      }
      const exit = mustLook() || repeatAlone || door.hasAnswers() ? runAlone(budget) : runFree(budget);
      if (exit !== undefined) return exit;
    }
  }

  function enterEngine(budget: number): Stop {
    const sameMode = isUnmoved;
    isUnmoved = false;
    u32[BUDGET] = budget;
    entered = budget;
    const stop = engine.run(sameMode);
    const used = budget - u32[BUDGET]!;
    u32[BUDGET] = 0;
    entered = 0;
    if (used !== 0) {
      addRetired(used);
      fruitless = 0;
    }
    return stop;
  }

  /** INIT. The first processor starts without being told to. */
  function begin(): void {
    transit('Init', initialise, { signature: capability.cpuid(1, 0)[0], isFirst: place === 0 });
    irqchip?.reset(place);
  }

  function runFree(budget: number): VcpuExit | undefined {
    alone = false;
    return afterStop(enterEngine(budget));
  }

  /** The next instruction, while control transfers are watched. */
  function instructionAtRip(): Instruction | undefined {
    const bytes = bytesAtRip(), found = decode(bytes, 0, bytes.length, codeSizeOf(cpu), capability.has);
    return 'why' in found ? undefined : found;
  }

  /** #CP when an indirect branch went to an instruction that must not be there. What cannot be fetched faults in the engine. */
  function followBranch(): VcpuExit | 'delivered' | undefined {
    const at = access.fetch(0);
    if (at < 0 || (at % PAGE_SIZE <= PAGE_SIZE - 4 && cpu.view.getUint32(RAM + at, true) === (is64Bit(cpu) ? ENDBR64 : ENDBR32))) return undefined;
    const bytes = bytesAtRip(), found = decode(bytes, 0, bytes.length, codeSizeOf(cpu), capability.has);
    if ('why' in found && found.why === 'more') return undefined;
    try {
      if (mayFollowBranch(machine, 'why' in found ? undefined : found)) return undefined;
    } catch (thrown) {
      if (thrown instanceof GuestFault) return exception(thrown.vector, thrown.errorCode, thrown.address);
      throw thrown;
    }
    return exception(endbranchViolation.vector, endbranchViolation.errorCode, 0n);
  }

  /** The A20 gate was moved by an access of an instruction that is fetched once more with the answers: it counts behind that. */
  let isGateDue = false;
  function gateMoved(): void {
    isGateDue = door.isOpen() && !door.isPlainPort();
    if (!isGateDue) paging.update();
  }

  /** The instruction that ran by itself has retired or faulted: its answers are used up. */
  function endAccesses(): void {
    door.clear();
    repeatAlone = false;
    if (!isGateDue) return;
    isGateDue = false;
    paging.update();
  }

  /** Something is due before the next instruction, or right behind it. */
  function runAlone(budget: number): VcpuExit | undefined {
    if (isInitDue()) {
      if (intercepts(Intercept1.INIT)) {
        event(exitOf.INIT);
        return undefined;
      }
      if ((cpu.vmCr & VM_CR_R_INIT) !== 0n) {
        u32[PENDING]! &= ~Pending.init;
        const due = exception(SX, INIT_REDIRECTED, 0n);
        return due === 'delivered' ? undefined : due;
      }
      begin();
    }
    if (u32[ACTIVITY] !== Activity.running) {
      if (u32[ACTIVITY] === Activity.shutdown) return SHUTDOWN;
      if (u32[ACTIVITY] === Activity.waitForSipi && irqchip?.hasStartup(place) === true) {
        transit('Startup', startUp, { vector: irqchip.takeStartup(place) });
        return undefined;
      }
      if (u32[ACTIVITY] === Activity.waitForSipi || !canWake()) return HLT;
    }
    const due = deliverDue();
    if (due !== undefined) return due === 'delivered' ? undefined : due;
    if (cet() && waitsForEndbranch(cpu)) {
      const refused = followBranch();
      if (refused !== undefined) return refused === 'delivered' ? undefined : refused;
    }

    const flags = u32[FLAGS]!, shadow = u32[SHADOW]!, held = cpu.pendingDebug;
    // An interrupt that IF keeps waiting needs no single steps: whatever sets IF asks for attention.
    alone = (flags & (TF | RF)) !== 0 || shadow !== 0 || armedExecute || repeatAlone || (u32[DEBUG_CTL]! & LBR) !== 0 || door.hasAnswers() || held !== 0n;
    if (!alone) return runFree(budget);
    // Both last for one instruction, which may set them anew.
    u32[SHADOW] = 0;
    u32[FLAGS] = flags & ~RF;
    withoutTrap = false;
    const port = (u32[PENDING]! & Pending.smi) === 0 ? undefined : door.answeredPort(), registers = port === undefined ? undefined : ioBefore();
    door.restart();
    const before = u32[ICOUNT]!, watched = (u32[DEBUG_CTL]! & (LBR | BTF)) === 0 ? undefined : instructionAtRip(), from = watched === undefined ? 0n : cpu.rip;
    const stop = enterEngine(1);
    if (u32[ICOUNT] !== before) {
      if (port !== undefined && registers !== undefined) noteIo(port.port, port.size, port.isInput, registers);
      endAccesses();
      const branched = watched !== undefined && hasBranched(cpu, watched, from);
      if (branched && (u32[DEBUG_CTL]! & LBR) !== 0) recordBranch(cpu, watched, from);
      // With DebugCtl.BTF only transfers of control trap.
      if ((flags & TF) !== 0 && !withoutTrap && u32[SHADOW] !== 2 && (branched || (u32[DEBUG_CTL]! & BTF) === 0)) u32[PENDING_DEBUG]! |= BS;
    } else {
      cpu.pendingDebug = held;
      if (stop === Stop.userspace) {
        u32[SHADOW] = shadow;
        u32[FLAGS]! |= flags & RF;
      } else {
        endAccesses();
      }
    }
    return afterStop(stop);
  }

  function afterStop(stop: Stop): VcpuExit | undefined {
    switch (stop) {
      case Stop.budget: case Stop.attention: return undefined;
      case Stop.userspace: return repeatAlone && !door.isOpen() ? undefined : door.exit();
      case Stop.fault: {
        if (leaving !== undefined) {
          const thrown = leaving;
          leaving = undefined;
          return resolve(thrown);
        }
        if (u32[FAULT_VECTOR]! >= NESTED_PAGE_FAULT) return resolve(nestedPageFault(cpu));
        const due = exception(u32[FAULT_VECTOR]!, u32[FAULT_CODE]!, u32[FAULT_VECTOR] === PF || u32[FAULT_VECTOR] === DB ? cpu.faultAddress : 0n);
        return due === 'delivered' ? undefined : due;
      }
      default:
        stop satisfies never;
        throw new Error(`the engine stopped for no known reason (${String(stop)})`);
    }
  }

  const services = onPrototype<Services>({
    readSlow: access.readSlow, writeSlow: access.writeSlow, fetch: access.fetch, markCode: access.markCode, prepare, system,
    get failure() { return access.failure(); },
  });
  const engine = parts.createEngine(services);
  machine.redeliver = engine.redeliver;
  return {
    machine, engine, access, run, refresh, switched, icount, now, hostTsc, gateMoved,
    setDoor(next) { door = next; },
    setIrqchip(chip, at) {
      irqchip = chip;
      place = at;
      clockBase[0] = parts.clockBase();
      if (chip === undefined) return;
      machine.apicRead = (index) => chip.readMsr(place, index, now());
      machine.apicWrite = (index, value) => { chip.writeMsr(place, index, value, now()); };
    },
    clockMoved() { clockBase[0] = parts.clockBase(); },
  };
}

const NO_PAGES: Parameters<Tlb['setWatched']>[0] = [];
const INTR: VcpuExit = { reason: 'Intr' }, HLT: VcpuExit = { reason: 'Hlt' }, SHUTDOWN: VcpuExit = { reason: 'Shutdown' };
