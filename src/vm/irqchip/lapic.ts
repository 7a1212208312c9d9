// The local APIC of one vCPU: registers, interrupt priorities, the timer, which messages are for it (APM Vol. 2, chapter 16; SDM Vol. 3,
// chapter 10). Plain state that these functions change in place; what must reach another part of the machine is returned. `irqchip.ts`
// calls them. Time is a number of ticks of the VM's clock, given with every call that needs it.

/** Registers by their offset in the page divided by 16, which is also their MSR minus 0x800. */
export const Register = {
  id: 0x2, version: 0x3, tpr: 0x8, apr: 0x9, ppr: 0xa, eoi: 0xb, rrd: 0xc, ldr: 0xd, dfr: 0xe, spurious: 0xf, isr: 0x10, tmr: 0x18, irr: 0x20,
  errorStatus: 0x28, cmci: 0x2f, command: 0x30, commandHigh: 0x31, timer: 0x32, thermal: 0x33, performance: 0x34, lint0: 0x35, lint1: 0x36, error: 0x37,
  initialCount: 0x38, currentCount: 0x39, divide: 0x3e, selfIpi: 0x3f,
} as const;
export const REGISTERS = 0x40;

export const Mode = { disabled: 0, xapic: 2, x2apic: 3 } as const;
export const Delivery = { fixed: 0, lowestPriority: 1, smi: 2, nmi: 4, init: 5, startup: 6, external: 7 } as const;
export const Shorthand = { none: 0, self: 1, all: 2, others: 3 } as const;

const MASKED = 0x10000, SOFTWARE_ENABLED = 0x100;
/** LVT timer mode, bits 18:17. */
const TIMER_MODE = 0x60000, PERIODIC = 0x20000, DEADLINE = 0x40000;
/** Bits of each local vector that can be written. */
const LVT_BITS: Readonly<Record<number, number>> = {
  [Register.thermal]: 0x107ff, [Register.performance]: 0x107ff,
  [Register.lint0]: 0x1a7ff, [Register.lint1]: 0x1a7ff, [Register.error]: 0x100ff,
};
/** Version 14h, six local vectors. */
const VERSION = 0x50014;
const ERROR_SEND_ILLEGAL = 0x20, ERROR_RECEIVE_ILLEGAL = 0x40;

export interface Lapic {
  /** The id given by the machine: the x2APIC ID, and the xAPIC ID after reset. */
  readonly id: number;
  mode: number;
  /** Guest-physical address of the page. */
  page: number;
  readonly registers: Uint32Array;
  /** When the timer expires next; -1: it is not running. */
  expiresAt: number;
  /** TSC value that the guest asked for (TSC-deadline mode); 0: none. */
  deadline: bigint;
  /** Vector of a start-up message that waits for the vCPU; -1: none. */
  startup: number;
  /** Errors since the last write to the error status register. */
  errors: number;
}

/** The part of a state that is saved, as plain data. */
export interface LapicState {
  readonly mode: number; readonly page: number; readonly registers: readonly number[]; readonly expiresAt: number; readonly deadline: bigint;
  readonly startup: number; readonly errors: number;
}

/** What a register write asks of the machine. */
export type Effect =
  | { readonly kind: 'none' }
  /** The interrupt of `vector` is over. */
  | { readonly kind: 'eoi'; readonly vector: number; readonly level: boolean }
  | { readonly kind: 'command'; readonly low: number; readonly destination: number };
const NONE: Effect = { kind: 'none' };

export const PAGE = 0xfee00000;

export function createLapic(id: number): Lapic {
  const lapic: Lapic = { id, mode: Mode.xapic, page: PAGE, registers: new Uint32Array(REGISTERS), expiresAt: -1, deadline: 0n, startup: -1, errors: 0 };
  setIds(lapic);
  resetLapic(lapic);
  return lapic;
}

/** After RESET or INIT (SDM Vol. 3, 10.4.7). The mode and the page are the APIC base register's, the ID survives INIT. LINT0 of the first
 * processor takes the 8259's interrupts, as firmware leaves it ("virtual wire mode"). */
export function resetLapic(lapic: Lapic): void {
  const { registers } = lapic, id = registers[Register.id]!;
  registers.fill(0);
  registers[Register.version] = VERSION;
  registers[Register.dfr] = 0xffffffff;
  registers[Register.spurious] = 0xff;
  for (let register: number = Register.timer; register <= Register.error; register++) registers[register] = MASKED;
  if (lapic.id === 0) registers[Register.lint0] = Delivery.external << 8;
  lapic.expiresAt = -1;
  lapic.deadline = 0n;
  lapic.errors = 0;
  lapic.startup = -1;
  if (lapic.mode === Mode.x2apic) setIds(lapic);
  else registers[Register.id] = id;
}

function setIds({ registers, mode, id }: Lapic): void {
  if (mode === Mode.x2apic) {
    registers[Register.id] = id;
    registers[Register.ldr] = (id >>> 4 << 16 | 1 << (id & 15)) >>> 0;
  } else registers[Register.id] = id << 24;
}

/** The APIC base register was written. */
export function setBase(lapic: Lapic, base: bigint): void {
  const before = lapic.mode;
  lapic.mode = Number(base >> 10n & 3n);
  lapic.page = Number(base & 0xffffffffff000n);
  if (lapic.mode === before) return;
  if (lapic.mode === Mode.disabled) lapic.expiresAt = -1;
  else setIds(lapic);
}

export const isEnabled = (lapic: Lapic): boolean => lapic.mode !== Mode.disabled && (lapic.registers[Register.spurious]! & SOFTWARE_ENABLED) !== 0;

// ── Interrupts: request, service, priority ──

const setBit = (registers: Uint32Array, from: number, vector: number): void => { registers[from + (vector >>> 5)]! |= 1 << (vector & 31); };
const clearBit = (registers: Uint32Array, from: number, vector: number): void => { registers[from + (vector >>> 5)]! &= ~(1 << (vector & 31)); };
const hasBit = (registers: Uint32Array, from: number, vector: number): boolean => (registers[from + (vector >>> 5)]! >>> (vector & 31) & 1) !== 0;

/** The highest vector of a 256-bit register; -1 when it is empty. */
function highest(registers: Uint32Array, from: number): number {
  for (let word = 7; word >= 0; word--) {
    const bits = registers[from + word]!;
    if (bits !== 0) return word * 32 + 31 - Math.clz32(bits);
  }
  return -1;
}

export function processorPriority({ registers }: Lapic): number {
  const tpr = registers[Register.tpr]!, service = Math.max(0, highest(registers, Register.isr));
  return (tpr & 0xf0) >= (service & 0xf0) ? tpr : service & 0xf0;
}

/** The vector that the processor would take now if it took interrupts; -1: none. */
export function deliverable(lapic: Lapic): number {
  if (lapic.mode === Mode.disabled) return -1;
  const vector = highest(lapic.registers, Register.irr);
  return vector >= 0 && (vector & 0xf0) > (processorPriority(lapic) & 0xf0) ? vector : -1;
}

/** The processor takes what `deliverable` named. */
export function acknowledge(lapic: Lapic): number {
  const vector = deliverable(lapic);
  clearBit(lapic.registers, Register.irr, vector);
  setBit(lapic.registers, Register.isr, vector);
  return vector;
}

/** A fixed interrupt arrives. Requests of one vector that are not taken yet are one. */
export function request(lapic: Lapic, vector: number, level: boolean): void {
  if (!isEnabled(lapic)) return;
  if (vector < 16) {
    note(lapic, ERROR_RECEIVE_ILLEGAL);
    return;
  }
  setBit(lapic.registers, Register.irr, vector);
  (level ? setBit : clearBit)(lapic.registers, Register.tmr, vector);
}

function note(lapic: Lapic, error: number): void {
  const first = (lapic.errors & error) === 0, vector = lapic.registers[Register.error]!;
  lapic.errors |= error;
  if (first && (vector & MASKED) === 0 && (vector & 0xff) >= 16) request(lapic, vector & 0xff, false);
}

/** How a local vector says that its event is delivered; undefined while it is masked. */
export function localVector(lapic: Lapic, register: number): { readonly delivery: number; readonly vector: number } | undefined {
  const value = lapic.registers[register]!;
  return (value & MASKED) !== 0 ? undefined : { delivery: value >>> 8 & 7, vector: value & 0xff };
}

/** Whether this processor takes the 8259's interrupt: through LINT0, or directly where the local APIC is off. */
export const takesExternal = (lapic: Lapic): boolean =>
  lapic.mode === Mode.disabled || localVector(lapic, Register.lint0)?.delivery === Delivery.external;

function endOfInterrupt(lapic: Lapic): Effect {
  const vector = highest(lapic.registers, Register.isr);
  if (vector < 0) return NONE;
  clearBit(lapic.registers, Register.isr, vector);
  return { kind: 'eoi', vector, level: hasBit(lapic.registers, Register.tmr, vector) };
}

// ── The timer ──

const divisor = (lapic: Lapic): number => {
  const bits = lapic.registers[Register.divide]!, code = bits & 3 | bits >>> 1 & 4;
  return code === 7 ? 1 : 2 << code;
};
const timerMode = (lapic: Lapic): number => lapic.registers[Register.timer]! & TIMER_MODE;
const period = (lapic: Lapic): number => lapic.registers[Register.initialCount]! * divisor(lapic);

/** Brings the timer up to `now`. The interrupt of a timer that has expired is requested; expirations of a masked one leave no trace. */
export function advance(lapic: Lapic, now: number): void {
  if (lapic.expiresAt < 0 || lapic.expiresAt > now) return;
  const mode = timerMode(lapic), vector = localVector(lapic, Register.timer);
  if (vector !== undefined) request(lapic, vector.vector, false);
  lapic.deadline = 0n;
  if (mode === PERIODIC && period(lapic) > 0) lapic.expiresAt += (Math.floor((now - lapic.expiresAt) / period(lapic)) + 1) * period(lapic);
  else lapic.expiresAt = -1;
}

/** When the timer has to be looked at; Infinity: never. A masked one waits for the next access to its registers. */
export const timerDue = (lapic: Lapic): number =>
  lapic.expiresAt < 0 || (lapic.registers[Register.timer]! & MASKED) !== 0 ? Infinity : lapic.expiresAt;

function currentCount(lapic: Lapic, now: number): number {
  if (lapic.expiresAt < 0 || timerMode(lapic) === DEADLINE) return 0;
  return Math.ceil((lapic.expiresAt - now) / divisor(lapic)) >>> 0;
}

function writeTimer(lapic: Lapic, value: number): void {
  const before = timerMode(lapic);
  lapic.registers[Register.timer] = value;
  // "A write to the LVT that changes between TSC-deadline and another mode disarms the timer" (SDM Vol. 3, 10.5.4.1).
  if (before !== timerMode(lapic) && (before === DEADLINE || timerMode(lapic) === DEADLINE)) {
    lapic.expiresAt = -1;
    lapic.deadline = 0n;
    lapic.registers[Register.initialCount] = 0;
  }
}

/** The deadline MSR, and `expiresAt` for it; does nothing in another timer mode. */
export function setDeadline(lapic: Lapic, deadline: bigint, expiresAt: number): void {
  if (timerMode(lapic) !== DEADLINE) return;
  lapic.deadline = deadline;
  lapic.expiresAt = deadline === 0n ? -1 : expiresAt;
}
export const readDeadline = (lapic: Lapic): bigint => timerMode(lapic) === DEADLINE ? lapic.deadline : 0n;

// ── Registers ──

export function readRegister(lapic: Lapic, register: number, now: number): number {
  const { registers } = lapic;
  switch (register) {
    case Register.ppr: return processorPriority(lapic);
    case Register.apr: return registers[Register.tpr]!;
    case Register.currentCount:
      advance(lapic, now);
      return currentCount(lapic, now);
    default: return registers[register] ?? 0;
  }
}

/** A write of a 32-bit register; `tscDeadline`: the model has that timer mode. */
export function writeRegister(lapic: Lapic, register: number, value: number, now: number, tscDeadline: boolean): Effect {
  const { registers } = lapic;
  advance(lapic, now);
  switch (register) {
    case Register.id:
      registers[register] = value & 0xff000000;
      return NONE;
    case Register.tpr:
      registers[register] = value & 0xff;
      return NONE;
    case Register.eoi: return endOfInterrupt(lapic);
    case Register.ldr:
      registers[register] = value & 0xff000000;
      return NONE;
    case Register.dfr:
      registers[register] = value | 0x0fffffff;
      return NONE;
    case Register.spurious:
      registers[register] = value & 0x1ff;
      // "When software disables the local APIC, all local vectors are masked" (APM Vol. 2, 16.3.2).
      if ((value & SOFTWARE_ENABLED) === 0) for (let each: number = Register.timer; each <= Register.error; each++) registers[each]! |= MASKED;
      return NONE;
    case Register.errorStatus:
      registers[register] = lapic.errors;
      lapic.errors = 0;
      return NONE;
    case Register.command:
      registers[register] = value & 0xcdfff & ~0x1000;
      return command(lapic, value, lapic.mode === Mode.x2apic ? registers[Register.commandHigh]! : registers[Register.commandHigh]! >>> 24);
    case Register.commandHigh:
      registers[register] = lapic.mode === Mode.x2apic ? value : value & 0xff000000;
      return NONE;
    case Register.timer: {
      const allowed = tscDeadline ? value : value & ~DEADLINE;
      writeTimer(lapic, allowed & (0x10000 | TIMER_MODE | 0xff) | maskUnlessEnabled(lapic));
      return NONE;
    }
    case Register.thermal: case Register.performance: case Register.lint0: case Register.lint1: case Register.error:
      registers[register] = value & LVT_BITS[register]! | maskUnlessEnabled(lapic);
      return NONE;
    case Register.initialCount:
      if (timerMode(lapic) === DEADLINE) return NONE;
      registers[register] = value;
      lapic.expiresAt = value === 0 ? -1 : now + period(lapic);
      return NONE;
    case Register.divide: {
      const left = currentCount(lapic, now);
      registers[register] = value & 0xb;
      if (lapic.expiresAt >= 0 && timerMode(lapic) !== DEADLINE) lapic.expiresAt = now + left * divisor(lapic);
      return NONE;
    }
    case Register.selfIpi:
      return lapic.mode === Mode.x2apic ? command(lapic, Shorthand.self << 18 | value & 0xff, 0) : NONE;
    default: return NONE;
  }
}

const maskUnlessEnabled = (lapic: Lapic): number => (lapic.registers[Register.spurious]! & SOFTWARE_ENABLED) !== 0 ? 0 : MASKED;

function command(lapic: Lapic, low: number, destination: number): Effect {
  const delivery = low >>> 8 & 7;
  if ((delivery === Delivery.fixed || delivery === Delivery.lowestPriority) && (low & 0xff) < 16) {
    note(lapic, ERROR_SEND_ILLEGAL);
    return NONE;
  }
  return { kind: 'command', low: low >>> 0, destination: destination >>> 0 };
}

/** What an MSR of the x2APIC range may be written with; undefined: it cannot be written (#GP). */
const X2APIC_WRITE: Readonly<Record<number, bigint>> = {
  [Register.tpr]: 0xffn, [Register.eoi]: 0n, [Register.spurious]: 0x1ffn, [Register.errorStatus]: 0n, [Register.command]: 0xffffffff000ccfffn,
  [Register.timer]: 0x700ffn, [Register.thermal]: 0x107ffn, [Register.performance]: 0x107ffn, [Register.lint0]: 0x1a7ffn, [Register.lint1]: 0x1a7ffn,
  [Register.error]: 0x100ffn, [Register.initialCount]: 0xffffffffn, [Register.divide]: 0xbn, [Register.selfIpi]: 0xffn,
};
const NOT_READ: readonly number[] = [Register.eoi, Register.selfIpi];
const X2APIC_READ: ReadonlySet<number> = new Set([
  Register.id, Register.version, Register.ppr, Register.ldr, Register.currentCount,
  ...Array.from({ length: 24 }, (_, index) => Register.isr + index),
  ...Object.keys(X2APIC_WRITE).map(Number).filter((register) => !NOT_READ.includes(register)),
]);

export const canReadMsr = (register: number): boolean => X2APIC_READ.has(register);
/** Whether WRMSR of a register takes this value. */
export const canWriteMsr = (register: number, value: bigint): boolean => {
  const mask = X2APIC_WRITE[register];
  return mask !== undefined && (value & ~mask & 0xffffffffffffffffn) === 0n;
};

// ── Destinations ──

/** Whether a message to `destination` is for this APIC; `wide`: it was sent in x2APIC mode, with 32 bits. */
export function isDestination(lapic: Lapic, destination: number, logical: boolean, wide: boolean): boolean {
  if (lapic.mode === Mode.disabled) return false;
  const broadcast = wide ? 0xffffffff : 0xff;
  if (destination === broadcast) return true;
  if (lapic.mode === Mode.x2apic) {
    if (!logical) return destination === lapic.id;
    const ldr = lapic.registers[Register.ldr]!;
    return destination >>> 16 === ldr >>> 16 && (destination & ldr & 0xffff) !== 0;
  }
  if (!logical) return destination === lapic.registers[Register.id]! >>> 24;
  const ldr = lapic.registers[Register.ldr]! >>> 24;
  if (lapic.registers[Register.dfr]! >>> 28 === 0xf) return (ldr & destination) !== 0;
  return ldr >>> 4 === destination >>> 4 && (ldr & destination & 0xf) !== 0;
}

// ── Saving ──

export const saveLapic = ({ mode, page, registers, expiresAt, deadline, startup, errors }: Lapic): LapicState =>
  ({ mode, page, registers: [...registers], expiresAt, deadline, startup, errors });

export function loadLapic(lapic: Lapic, state: LapicState): void {
  lapic.registers.set(state.registers.slice(0, REGISTERS));
  lapic.mode = state.mode;
  lapic.page = state.page;
  lapic.expiresAt = state.expiresAt;
  lapic.deadline = state.deadline;
  lapic.startup = state.startup;
  lapic.errors = state.errors;
}
