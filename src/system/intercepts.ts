// Which instructions and events of a nested guest go to its hypervisor instead (APM Vol. 2, 15.7 to 15.14): a row per mnemonic with the
// exceptions that come first. `vm/run.ts` asks before it executes a system instruction and gets the exit; ports, event delivery and task
// switches ask in their midst, and the answer is a `GuestExit` that is thrown before anything is committed.
import type { Instruction } from '../isa/instruction.ts';
import { CR0, CR4, cr4Of, EFER, eferOf, is64Bit, isLongMode, isProtected, isVirtual8086 } from '../cpu/controls.ts';
import { OF, rflags } from '../cpu/flags.ts';
import { placeOf, type Cpu } from '../cpu/state.ts';
import type { Vmexit } from '../transitions/svm/exit.ts';
import { Control, Event, Exit, exitOf, Intercept1, Intercept2, Intercept3 } from '../transitions/svm/vmcb.ts';
import { recordDebugCauses } from './debug.ts';
import { GuestExit, type Machine } from './machine.ts';
import { control64Of, controlOf, hasVirtualSaveLoad, isGuest, isIntercepted, setControl } from './nested.ts';
import { generalProtection, invalidOpcode, offsetOf, operandAt, readRegister, segmentIndexOf, Vector } from './operand.ts';
import { requirePrivilege0 } from './segment-load.ts';

const NEXT_RIP = placeOf('nextRip') >> 3;
const RCX = 1;

/** Next-RIP save (APM Vol. 2, 15.7.1). */
const nextRipOf = (machine: Machine): bigint => machine.capability.has('nrip-save') ? machine.cpu.u64[NEXT_RIP]! : 0n;
const assists = ({ capability }: Machine): boolean => capability.has('decodeassists');

const leave = (machine: Machine, code: number, info1 = 0n, info2 = 0n): Vmexit => ({ code, info1, info2, nextRip: nextRipOf(machine) });

// ── Exceptions that come before an intercept ──

type Guard = (machine: Machine) => void;
const none: Guard = () => undefined;
const level0: Guard = ({ cpu }) => requirePrivilege0(cpu);
const timeStamp: Guard = ({ cpu }) => {
  if (cpu.cpl !== 0 && (cr4Of(cpu) & CR4.TSD) !== 0) throw generalProtection();
};
const undefinedAbove0: Guard = ({ cpu }) => {
  if (cpu.cpl !== 0) throw invalidOpcode();
};
const protectedMode: Guard = ({ cpu }) => {
  if (!isProtected(cpu) || isVirtual8086(cpu)) throw invalidOpcode();
};
const storesTable: Guard = ({ cpu }) => {
  if (cpu.cpl !== 0 && (cr4Of(cpu) & CR4.UMIP) !== 0) throw generalProtection();
};
const all = (...guards: Guard[]): Guard => (machine) => guards.forEach((guard) => guard(machine));
const extendedControl: Guard = ({ cpu }) => {
  if ((cr4Of(cpu) & CR4.OSXSAVE) === 0) throw invalidOpcode();
  requirePrivilege0(cpu);
};
/** SVM instructions exist with EFER.SVME in protected mode, at level 0 (APM Vol. 2, 15.4). */
export const requireSvm: Guard = (machine) => {
  if ((eferOf(machine.cpu) & EFER.SVME) === 0) throw invalidOpcode();
  protectedMode(machine);
  requirePrivilege0(machine.cpu);
};

// ── Instructions ──

/** Where each intercept is asked for. One without its decision does not compile. */
export const interceptSources = {
  INTR: 'event', NMI: 'event', SMI: 'event', INIT: 'event', VINTR: 'event', SHUTDOWN: 'event', TASK_SWITCH: 'task switch', IOIO: 'port',
  CR0_SEL_WRITE: 'instruction', IDTR_READ: 'instruction', GDTR_READ: 'instruction', LDTR_READ: 'instruction', TR_READ: 'instruction', IDTR_WRITE: 'instruction',
  GDTR_WRITE: 'instruction', LDTR_WRITE: 'instruction', TR_WRITE: 'instruction', RDTSC: 'instruction', RDPMC: 'instruction', PUSHF: 'instruction', POPF: 'instruction',
  CPUID: 'instruction', RSM: 'instruction', IRET: 'instruction', SWINT: 'instruction', INVD: 'instruction', PAUSE: 'instruction', HLT: 'instruction', INVLPG: 'instruction',
  INVLPGA: 'instruction', MSR: 'instruction', VMRUN: 'instruction', VMMCALL: 'instruction', VMLOAD: 'instruction', VMSAVE: 'instruction', STGI: 'instruction', CLGI: 'instruction',
  SKINIT: 'instruction', RDTSCP: 'instruction', ICEBP: 'instruction', WBINVD: 'instruction', MONITOR: 'instruction', MWAIT: 'instruction', MWAIT_CONDITIONAL: 'instruction',
  XSETBV: 'instruction', RDPRU: 'instruction', INVPCID: 'instruction',
  FERR_FREEZE: 'never: FERR# and IGNNE# are not there', EFER_WRITE_TRAP: 'never: traps of register writes came with SEV-ES',
  INVLPGB: 'never: no such instruction here', INVLPGB_ILLEGAL: 'never: no such instruction here', MCOMMIT: 'never: no such instruction here', TLBSYNC: 'never: no such instruction here',
} as const satisfies Record<keyof typeof Intercept1 | keyof typeof Intercept2 | keyof typeof Intercept3, 'event' | 'task switch' | 'port' | 'instruction' | `never: ${string}`>;

interface Row {
  readonly word: number;
  readonly bit: number;
  readonly guard: Guard;
  readonly info1?: (machine: Machine, instruction: Instruction) => bigint;
  /** Virtual VMLOAD and VMSAVE exist in long mode only: elsewhere they are intercepted in any case (APM Vol. 2, 15.33.1). */
  readonly outsideLongMode?: true;
}
const first = (bit: number, guard: Guard = none, info1?: Row['info1']): Row => ({ word: Control.intercept1, bit, guard, ...(info1 === undefined ? {} : { info1 }) });
const second = (bit: number, guard: Guard = none): Row => ({ word: Control.intercept2, bit, guard });
const bases = { [Control.intercept1]: Exit.INTERCEPT1, [Control.intercept2]: Exit.INTERCEPT2, [Control.intercept3]: Exit.INTERCEPT3 } as Readonly<Record<number, number>>;

/** The linear address of INVLPG. */
function invalidated({ cpu }: Machine, instruction: Instruction): bigint {
  const operand = operandAt(instruction, 0);
  if (operand.kind !== 'memory') return 0n;
  const segment = segmentIndexOf(operand), base = is64Bit(cpu) && segment < 4 ? 0n : cpu.segment[segment]!.base;
  return BigInt.asUintN(is64Bit(cpu) ? 64 : 32, base + offsetOf(cpu, instruction, operand));
}
const immediate = (_: Machine, instruction: Instruction): bigint => {
  const operand = operandAt(instruction, 0);
  return operand.kind === 'immediate' ? operand.value : 0n;
};

export const interceptRows: Readonly<Record<string, Row>> = {
  SIDT: first(Intercept1.IDTR_READ, storesTable), SGDT: first(Intercept1.GDTR_READ, storesTable),
  SLDT: first(Intercept1.LDTR_READ, all(protectedMode, storesTable)), STR: first(Intercept1.TR_READ, all(protectedMode, storesTable)),
  LIDT: first(Intercept1.IDTR_WRITE, level0), LGDT: first(Intercept1.GDTR_WRITE, level0),
  LLDT: first(Intercept1.LDTR_WRITE, all(protectedMode, level0)), LTR: first(Intercept1.TR_WRITE, all(protectedMode, level0)),
  RDTSC: first(Intercept1.RDTSC, timeStamp),
  RDPMC: first(Intercept1.RDPMC, ({ cpu }) => {
    if (cpu.cpl !== 0 && (cr4Of(cpu) & CR4.PCE) === 0) throw generalProtection();
  }),
  PUSHF: first(Intercept1.PUSHF), POPF: first(Intercept1.POPF), CPUID: first(Intercept1.CPUID), RSM: first(Intercept1.RSM), IRET: first(Intercept1.IRET),
  INT: first(Intercept1.SWINT, none, immediate), INVD: first(Intercept1.INVD, level0), HLT: first(Intercept1.HLT, level0),
  INVLPG: first(Intercept1.INVLPG, level0, invalidated), INVLPGA: first(Intercept1.INVLPGA, requireSvm, ({ cpu }) => cpu.rax),
  VMRUN: second(Intercept2.VMRUN, requireSvm), VMMCALL: second(Intercept2.VMMCALL), VMLOAD: { ...second(Intercept2.VMLOAD, requireSvm), outsideLongMode: true }, VMSAVE: { ...second(Intercept2.VMSAVE, requireSvm), outsideLongMode: true },
  SKINIT: second(Intercept2.SKINIT, all(protectedMode, level0)),
  STGI: second(Intercept2.STGI, requireSvm), CLGI: second(Intercept2.CLGI, requireSvm),
  RDTSCP: second(Intercept2.RDTSCP, timeStamp), INT1: second(Intercept2.ICEBP), WBINVD: second(Intercept2.WBINVD, level0), WBNOINVD: second(Intercept2.WBINVD, level0),
  MONITOR: second(Intercept2.MONITOR, undefinedAbove0), MONITORX: second(Intercept2.MONITOR), MWAIT: second(Intercept2.MWAIT, undefinedAbove0), MWAITX: second(Intercept2.MWAIT),
  XSETBV: second(Intercept2.XSETBV, extendedControl),
  RDPRU: second(Intercept2.RDPRU, ({ cpu }) => {
    if (cpu.cpl !== 0 && (cr4Of(cpu) & CR4.TSD) !== 0) throw invalidOpcode();
  }),
  INVPCID: { word: Control.intercept3, bit: Intercept3.INVPCID, guard: level0 },
};

/** Asked before a system instruction of a guest is executed: the exit that comes instead. */
export function interceptInstruction(machine: Machine, instruction: Instruction): Vmexit | undefined {
  const { cpu } = machine, { mnemonic } = instruction;
  const row = interceptRows[mnemonic];
  if (row !== undefined) {
    if (isIntercepted(cpu, row.word, row.bit) || (row.outsideLongMode === true && !isLongMode(cpu) && hasVirtualSaveLoad(cpu, machine.capability))) {
      row.guard(machine);
      return leave(machine, bases[row.word]! + row.bit, row.info1 !== undefined && assists(machine) ? row.info1(machine, instruction) : 0n);
    }
    return mnemonic === 'MWAIT' ? interceptArmedWait(machine) : undefined;
  }
  switch (mnemonic) {
    case 'MOVCR': return interceptControl(machine, instruction);
    case 'MOVDR': return interceptDebug(machine, instruction);
    case 'CLTS': return interceptControlWrite(machine, 0n, undefined);
    case 'SMSW':
      storesTable(machine);
      return isIntercepted(cpu, Control.interceptCr, 0) ? leave(machine, Exit.CR_READ) : undefined;
    case 'LMSW': return interceptStatusWord(machine);
    case 'RDMSR': return interceptMsr(machine, false);
    case 'WRMSR': return interceptMsr(machine, true);
    case 'PAUSE': return interceptPause(machine);
    case 'INT3': return interceptSoftware(machine, Vector.BP);
    case 'INTO':
      return (rflags(cpu) & OF) !== 0 ? interceptSoftware(machine, Vector.OF) : undefined;
    default: return undefined;
  }
}

/** MWAIT with a monitored line armed. */
function interceptArmedWait(machine: Machine): Vmexit | undefined {
  if (!isIntercepted(machine.cpu, Control.intercept2, Intercept2.MWAIT_CONDITIONAL)) return undefined;
  undefinedAbove0(machine);
  return leave(machine, Exit.INTERCEPT2 + Intercept2.MWAIT_CONDITIONAL);
}

/** #BP and #OF are intercepted as exceptions, with the instruction not done. */
const interceptSoftware = (machine: Machine, vector: number): Vmexit | undefined =>
  isIntercepted(machine.cpu, Control.interceptExceptions, vector) ? leave(machine, Exit.EXCEPTION + vector) : undefined;

// ── Control and debug registers ──

/** "EXITINFO1 bit 63: the instruction was MOV CR; bits 3:0: the general register" (APM Vol. 2, 15.8.1). */
const moveInfo = (machine: Machine, general: number): bigint => assists(machine) ? 1n << 63n | BigInt(general) : 0n;

function interceptControl(machine: Machine, instruction: Instruction): Vmexit | undefined {
  const { cpu } = machine, destination = operandAt(instruction, 0), source = operandAt(instruction, 1);
  if (destination.kind !== 'register' || source.kind !== 'register') return undefined;
  const writes = destination.file === 'control', number = writes ? destination.number : source.number;
  if (number !== 0 && number !== 2 && number !== 3 && number !== 4 && number !== 8) return undefined;
  requirePrivilege0(cpu);
  if (writes && number === 0) return interceptControlWrite(machine, moveInfo(machine, source.number), cpu.general(source.number));
  if (!isIntercepted(cpu, Control.interceptCr, writes ? 16 + number : number)) return undefined;
  return leave(machine, (writes ? Exit.CR_WRITE : Exit.CR_READ) + number, moveInfo(machine, writes ? source.number : destination.number));
}

/** CR0: every write, or those that change more than TS and MP (the selective intercept). `value` is undefined for CLTS. */
function interceptControlWrite(machine: Machine, info1: bigint, value: bigint | undefined): Vmexit | undefined {
  const { cpu } = machine;
  requirePrivilege0(cpu);
  if (isIntercepted(cpu, Control.interceptCr, 16)) return leave(machine, Exit.CR_WRITE, info1);
  if (value === undefined || !isIntercepted(cpu, Control.intercept1, Intercept1.CR0_SEL_WRITE)) return undefined;
  return ((value ^ BigInt(cpu.cr0)) & ~BigInt(CR0.TS | CR0.MP)) !== 0n ? leave(machine, exitOf.CR0_SEL_WRITE, info1) : undefined;
}

function interceptStatusWord(machine: Machine): Vmexit | undefined {
  const { cpu } = machine;
  if (!isIntercepted(cpu, Control.interceptCr, 16) && !isIntercepted(cpu, Control.intercept1, Intercept1.CR0_SEL_WRITE)) return undefined;
  requirePrivilege0(cpu);
  // For LMSW the selective intercept is not selective (APM Vol. 2, 15.9).
  return leave(machine, isIntercepted(cpu, Control.interceptCr, 16) ? Exit.CR_WRITE : exitOf.CR0_SEL_WRITE);
}

function interceptDebug(machine: Machine, instruction: Instruction): Vmexit | undefined {
  const { cpu } = machine, destination = operandAt(instruction, 0), source = operandAt(instruction, 1);
  if (destination.kind !== 'register' || source.kind !== 'register') return undefined;
  const writes = destination.file === 'debug', register = writes ? destination.number : source.number;
  if (register > 7) return undefined;
  const number = register, general = writes ? source.number : destination.number;
  if (!isIntercepted(cpu, Control.interceptDr, writes ? 16 + number : number)) return undefined;
  if ((number === 4 || number === 5) && (cr4Of(cpu) & CR4.DE) !== 0) throw invalidOpcode();
  requirePrivilege0(cpu);
  // A general-detect exception comes first: the instruction itself raises it.
  if ((cpu.dr7 & 0x2000n) !== 0n) return undefined;
  return leave(machine, (writes ? Exit.DR_WRITE : Exit.DR_READ) + number, assists(machine) ? BigInt(general) : 0n);
}

// ── MSRs and ports ──

/** The three ranges that the map has bits for (APM Vol. 2, 15.11). */
function placeInMsrMap(index: number): number | undefined {
  if (index < 0x2000) return index * 2;
  if (index >= 0xc0000000 && index < 0xc0002000) return 0x4000 + (index - 0xc0000000) * 2;
  if (index >= 0xc0010000 && index < 0xc0012000) return 0x8000 + (index - 0xc0010000) * 2;
  return undefined;
}

const byteAt = ({ memory }: Machine, physical: number): number => memory.readPhysical32(physical - physical % 4) >>> 8 * (physical % 4) & 0xff;
const mapAt = (cpu: Cpu, offset: number): number => Number(control64Of(cpu, offset) & 0xffffffffff000n);

function interceptMsr(machine: Machine, write: boolean): Vmexit | undefined {
  const { cpu } = machine;
  requirePrivilege0(cpu);
  if (!isIntercepted(cpu, Control.intercept1, Intercept1.MSR)) return undefined;
  const place = placeInMsrMap(Number(readRegister(cpu, RCX, 32)));
  const bit = place === undefined ? 0 : place + (write ? 1 : 0);
  if (place !== undefined && (byteAt(machine, mapAt(cpu, Control.msrpm) + (bit >>> 3)) >>> (bit & 7) & 1) === 0) return undefined;
  return leave(machine, exitOf.MSR, write ? 1n : 0n);
}

/** Asked by the port instructions when IOPL and the TSS have let them pass. `string`: INS or OUTS. */
export function interceptPort(machine: Machine, instruction: Instruction, port: number, size: number, isInput: boolean): void {
  const { cpu } = machine;
  if (!isGuest(cpu) || !isIntercepted(cpu, Control.intercept1, Intercept1.IOIO)) return;
  const base = mapAt(cpu, Control.iopm);
  let hit = false;
  for (let bit = port; bit < port + size; bit++) hit ||= (byteAt(machine, base + (bit >>> 3)) >>> (bit & 7) & 1) !== 0;
  if (!hit) return;
  const isString = instruction.mnemonic === 'INS' || instruction.mnemonic === 'OUTS';
  const memory = instruction.operands.find((operand) => operand.kind === 'memory');
  // INS always stores through ES.
  const segment = isString && memory?.kind === 'memory' ? segmentIndexOf(memory) : 0;
  const info1 = port << 16 | (isInput ? 1 : 0) | (isString ? 4 : 0) | (instruction.rep !== 'none' && isString ? 8 : 0) | size << 4
    | (instruction.addressSize === 16 ? 0x80 : instruction.addressSize === 32 ? 0x100 : 0x200) | (assists(machine) ? segment << 10 : 0);
  throw new GuestExit({ code: exitOf.IOIO, info1: BigInt(info1 >>> 0), info2: cpu.u64[NEXT_RIP]!, nextRip: nextRipOf(machine) });
}

// ── PAUSE ──

/** The copy of the control block has room in its reserved part: the count to start with, and when the last PAUSE was. */
const FILTER_STARTED = 0x18, FILTER_COUNT = 0x1c, FILTER_TIME = 0x20;

/** The first PAUSEs of a guest pass, and start to count again after a while without one (APM Vol. 2, 15.14.4). */
function interceptPause(machine: Machine): Vmexit | undefined {
  const { cpu, capability } = machine;
  if (!isIntercepted(cpu, Control.intercept1, Intercept1.PAUSE)) return undefined;
  const settings = controlOf(cpu, Control.pauseThreshold), threshold = settings & 0xffff, count = settings >>> 16;
  if (count !== 0 && capability.has('pause-filter')) {
    const time = Number(machine.tsc() & 0xffffffffn), isLate = threshold !== 0 && capability.has('pfthreshold') && (time - controlOf(cpu, FILTER_TIME) >>> 0) > threshold;
    let left = controlOf(cpu, FILTER_STARTED) === 0 || isLate ? count : controlOf(cpu, FILTER_COUNT);
    setControl(cpu, FILTER_STARTED, 1);
    setControl(cpu, FILTER_TIME, time);
    setControl(cpu, FILTER_COUNT, --left);
    if (left >= 0) return undefined;
    setControl(cpu, FILTER_COUNT, count);
  }
  return leave(machine, exitOf.PAUSE);
}

// ── Events ──

/** EXITINTINFO of an event; `error` only where one is pushed. */
export const eventWord = (type: number, vector: number, hasError = false): number =>
  (Event.valid | type << Event.typeShift | vector | (hasError ? Event.hasError : 0)) >>> 0;

export interface During { readonly event: number; readonly error: number }

/** Asked before an exception is delivered: throws when the hypervisor wants it. CR2 stays as it is then; DR6 says the causes. */
export function interceptException(machine: Machine, vector: number, errorCode: number, address: bigint, during: During | undefined): void {
  const { cpu } = machine;
  if (!isGuest(cpu) || vector > 31 || !isIntercepted(cpu, Control.interceptExceptions, vector)) return;
  if (vector === Vector.DB) recordDebugCauses(machine, address);
  throw new GuestExit({
    code: Exit.EXCEPTION + vector, info1: BigInt(errorCode >>> 0), info2: vector === Vector.PF ? address : 0n, nextRip: 0n,
    event: during?.event, eventError: during?.error,
  });
}

export interface TaskSwitchInfo { readonly selector: number; readonly cause: 'jump' | 'call' | 'iret' | 'gate'; readonly errorCode: number | undefined; readonly resumes: boolean }

/** Task switches (APM Vol. 2, 15.14.1). */
export function interceptTaskSwitch(machine: Machine, { selector, cause, errorCode, resumes }: TaskSwitchInfo): void {
  const { cpu } = machine;
  if (!isGuest(cpu) || !isIntercepted(cpu, Control.intercept1, Intercept1.TASK_SWITCH)) return;
  const high = (cause === 'iret' ? 1 << 4 : 0) | (cause === 'jump' ? 1 << 6 : 0) | (errorCode === undefined ? 0 : 1 << 12) | (resumes ? 1 << 16 : 0);
  throw new GuestExit({ code: exitOf.TASK_SWITCH, info1: BigInt(selector), info2: BigInt(high) << 32n | BigInt(errorCode ?? 0), nextRip: 0n });
}
