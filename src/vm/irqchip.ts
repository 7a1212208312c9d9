// The interrupt controllers of a VM together: a local APIC per vCPU, I/O APIC, the 8259 pair and the 8254, as KVM_CREATE_IRQCHIP and
// KVM_CREATE_PIT2 make them. It routes lines and messages, says when a timer is due, and keeps `Pending` of every vCPU right. `run.ts`
// gives it the accesses of the active vCPU, `vm.ts` the rest. Time is the VM's, in ticks of the TSC.
import { Msr } from '../cpu/msrs.ts';
import { Pending } from '../cpu/state.ts';
import { GuestFault } from '../system/machine.ts';
import * as ioapics from './irqchip/ioapic.ts';
import * as lapics from './irqchip/lapic.ts';
import { Delivery, Mode, Register, Shorthand, type Effect, type Lapic, type LapicState } from './irqchip/lapic.ts';
import * as pics from './irqchip/pic.ts';
import * as pits from './irqchip/pit.ts';

/** The vCPUs as the controllers see them, by their place in the order of creation. */
export interface Wires {
  /** Latches events: bits of `Pending`. */
  raise(index: number, events: number): void;
  lower(index: number, events: number): void;
  /** Of the active vCPU. */
  readonly tsc: () => bigint;
  readonly setCr8: (value: number) => void;
}

export interface Irqchip {
  addVcpu(id: number): void;
  /** When a timer is due; Infinity: none is running. */
  due(): number;
  /** Timers that are due by `now` do what they were set for. */
  expire(now: number): void;
  /** Something happened that the run loop has to look at; asking forgets it. */
  takeTouched(): boolean;

  // Accesses of vCPU `index`
  claims(index: number, address: number): boolean;
  read(index: number, address: number, length: number, into: Uint8Array, at: number, now: number): void;
  write(index: number, address: number, length: number, from: Uint8Array, at: number, now: number): void;
  hasPort(port: number): boolean;
  readPort(port: number, now: number): number;
  writePort(port: number, value: number, now: number): void;
  readMsr(index: number, msr: number, now: number): bigint;
  writeMsr(index: number, msr: number, value: bigint, now: number): void;
  /** CR8, the APIC base or the TSC of the vCPU may have changed. */
  synchronise(index: number, cr8: number, apicBase: bigint, now: number): void;

  /** The vCPU takes an external interrupt: its vector. */
  acknowledge(index: number): number;
  /** Vector of a start-up message for a vCPU that waits for one; -1: none came. It is taken. */
  takeStartup(index: number): number;
  hasStartup(index: number): boolean;
  /** The vCPU went through INIT. */
  reset(index: number): void;
  /** KVM_IRQ_LINE. */
  setLine(gsi: number, high: boolean): void;
  save(): IrqchipState;
  load(state: IrqchipState): void;
}

export interface IrqchipState {
  readonly lapics: readonly LapicState[];
  readonly ioapic: ioapics.IoapicState;
  readonly pic: pics.Pic;
  readonly pit: pits.Pit;
}

/** Line 0 of the 8259 is pin 2 of the I/O APIC, as on every PC; line 2 is the cascade. */
const TIMER_PIN = 2;
const IOAPIC_SIZE = 0x100, LAPIC_SIZE = 0x1000;
const GP = 13;

/** By port: guests ask it for every IN and OUT. */
const isPort = new Uint8Array(0x10000);
for (const port of [0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x40, 0x41, 0x42, 0x43, 0x61]) isPort[port] = 1;
const isPitPort = (port: number): boolean => port < 0x80 && port >= 0x40;

export interface IrqchipOptions {
  readonly tscKhz: number;
  readonly tscDeadline: boolean;
  readonly wires: Wires;
}

export function createIrqchip({ tscKhz, tscDeadline, wires }: IrqchipOptions): Irqchip {
  const local: Lapic[] = [];
  const ioapic = ioapics.createIoapic(), pic = pics.createPic(), pit = pits.createPit();
  const hz = tscKhz * 1000;
  let touched = false, due = Infinity;

  // Exact in a double: the remainders are below 2^53.
  const pitTime = (now: number): number => Math.floor(now / hz) * pits.FREQUENCY + Math.floor(now % hz * pits.FREQUENCY / hz);
  const timeOfPit = (tick: number): number => Math.floor(tick / pits.FREQUENCY) * hz + Math.ceil(tick % pits.FREQUENCY * hz / pits.FREQUENCY);

  function schedule(): void {
    const before = due;
    due = pit.interruptAt < 0 ? Infinity : timeOfPit(pit.interruptAt);
    for (const lapic of local) due = Math.min(due, lapics.timerDue(lapic));
    if (due !== before) touched = true;
  }

  const hasExternal = (lapic: Lapic): boolean => pics.output(pic) && lapics.takesExternal(lapic);

  /** Says whether a vCPU has an interrupt to take. */
  function update(index: number): void {
    const lapic = local[index]!;
    if (lapics.deliverable(lapic) >= 0 || hasExternal(lapic)) {
      wires.raise(index, Pending.interrupt);
      touched = true;
    } else wires.lower(index, Pending.interrupt);
  }
  function updateAll(): void {
    for (let index = 0; index < local.length; index++) update(index);
  }

  // ── Messages ──

  function deliver(index: number, delivery: number, vector: number, level: boolean): void {
    switch (delivery) {
      case Delivery.fixed: case Delivery.lowestPriority:
        lapics.request(local[index]!, vector, level);
        return update(index);
      case Delivery.smi: wires.raise(index, Pending.smi); break;
      case Delivery.nmi: wires.raise(index, Pending.nmi); break;
      case Delivery.init:
        local[index]!.startup = -1;
        wires.raise(index, Pending.init);
        break;
      case Delivery.startup: local[index]!.startup = vector; break;
      // External interrupts come from the 8259, whose output every local APIC sees.
      default: return;
    }
    touched = true;
  }

  function send(message: ioapics.Message, targets: readonly number[]): void {
    const { delivery, vector, level } = message;
    if (delivery === Delivery.lowestPriority && targets.length > 1) {
      const enabled = targets.filter((index) => lapics.isEnabled(local[index]!));
      // The lowest priority, and among equals the lowest place.
      const lowest = enabled.reduce((best, index) => lapics.processorPriority(local[index]!) < lapics.processorPriority(local[best]!) ? index : best, enabled[0] ?? 0);
      if (enabled.length > 0) deliver(lowest, delivery, vector, level);
    } else for (const index of targets) deliver(index, delivery, vector, level);
  }

  const targetsOf = (destination: number, logical: boolean, wide: boolean): number[] =>
    [...local.keys()].filter((index) => lapics.isDestination(local[index]!, destination, logical, wide));
  const sendFromIoapic = (message: ioapics.Message): void => send(message, targetsOf(message.destination, message.logical, false));

  function command(sender: number, low: number, destination: number): void {
    const delivery = low >>> 8 & 7, level = (low & 0x8000) !== 0, asserted = (low & 0x4000) !== 0;
    // "INIT level de-assert" is only for processors before the Pentium 4; nothing happens.
    if (delivery === Delivery.init && level && !asserted) return;
    const shorthand = low >>> 18 & 3, all = [...local.keys()];
    const targets = shorthand === Shorthand.self ? [sender]
      : shorthand === Shorthand.all ? all
      : shorthand === Shorthand.others ? all.filter((index) => index !== sender)
      : targetsOf(destination, (low & 0x800) !== 0, local[sender]!.mode === Mode.x2apic);
    send({ destination, logical: false, delivery, vector: low & 0xff, level: false }, targets.filter((index) => local[index]!.mode !== Mode.disabled));
  }

  function follow(index: number, effect: Effect): void {
    if (effect.kind === 'command') command(index, effect.low, effect.destination);
    else if (effect.kind === 'eoi' && effect.level) ioapics.endOfInterrupt(ioapic, effect.vector, sendFromIoapic);
  }

  // ── Registers of a local APIC ──

  function writeLapic(index: number, register: number, value: number, now: number): void {
    const lapic = local[index]!;
    follow(index, lapics.writeRegister(lapic, register, value, now, tscDeadline));
    if (register === Register.tpr) wires.setCr8(lapic.registers[Register.tpr]! >>> 4);
    if (register >= Register.timer) schedule();
    update(index);
  }

  function expiryOf(deadline: bigint, now: number): number {
    const left = deadline - wires.tsc();
    return left <= 0n ? now : left < BigInt(Number.MAX_SAFE_INTEGER - now) ? now + Number(left) : -1;
  }

  const invalid = (): never => { throw new GuestFault(GP, 0); };

  // ── Timers ──

  function expire(now: number): void {
    for (const [index, lapic] of local.entries()) {
      if (lapics.timerDue(lapic) > now) continue;
      lapics.advance(lapic, now);
      update(index);
    }
    if (pits.takeInterrupt(pit, pitTime(now))) {
      setLine(0, true);
      setLine(0, false);
      for (const [index, lapic] of local.entries()) if (lapics.localVector(lapic, Register.lint0)?.delivery === Delivery.nmi) deliver(index, Delivery.nmi, 0, false);
    }
    schedule();
  }

  function setLine(gsi: number, high: boolean): void {
    if (gsi < 16 && gsi !== TIMER_PIN) pics.setPin(pic, gsi, high);
    if (gsi < ioapics.PINS && gsi !== TIMER_PIN) ioapics.setPin(ioapic, gsi === 0 ? TIMER_PIN : gsi, high, sendFromIoapic);
    updateAll();
  }

  return {
    addVcpu(id) { local.push(lapics.createLapic(id)); },
    due: () => due,
    expire, setLine,
    takeTouched() {
      const was = touched;
      touched = false;
      return was;
    },
    claims(index, address) {
      const lapic = local[index]!;
      return (lapic.mode === Mode.xapic && address >= lapic.page && address < lapic.page + LAPIC_SIZE)
        || (address >= ioapics.PAGE && address < ioapics.PAGE + IOAPIC_SIZE);
    },
    read(index, address, length, into, at, now) {
      const isLocal = address < ioapics.PAGE || address >= ioapics.PAGE + IOAPIC_SIZE, offset = address & 0xfff;
      const value = isLocal ? lapics.readRegister(local[index]!, offset >>> 4, now) : ioapics.readIoapic(ioapic, offset & 0xf0);
      for (let byte = 0; byte < length; byte++) into[at + byte] = (offset & 15) + byte < 4 ? value >>> 8 * ((offset & 15) + byte) : 0;
    },
    write(index, address, length, from, at, now) {
      const isLocal = address < ioapics.PAGE || address >= ioapics.PAGE + IOAPIC_SIZE, offset = address & 0xfff;
      if ((offset & 15) !== 0) return;
      let value = 0;
      for (let byte = Math.min(length, 4) - 1; byte >= 0; byte--) value = (value << 8 | from[at + byte]!) >>> 0;
      // "Accesses that are not 32 bits wide are undefined" (APM Vol. 2, 16.3.1): ignored.
      if (isLocal) {
        if (length === 4) writeLapic(index, offset >>> 4, value, now);
      } else {
        ioapics.writeIoapic(ioapic, offset & 0xf0, value, sendFromIoapic);
      }
    },
    hasPort: (port) => isPort[port] === 1,
    readPort(port, now) {
      if (isPitPort(port)) return pits.readPort(pit, port, pitTime(now));
      const value = pics.readPort(pic, port);
      updateAll();
      return value;
    },
    writePort(port, value, now) {
      if (isPitPort(port)) {
        pits.writePort(pit, port, value, pitTime(now));
        schedule();
      } else {
        pics.writePort(pic, port, value);
        updateAll();
      }
    },
    readMsr(index, msr, now) {
      const lapic = local[index]!, register = msr - Msr.X2APIC;
      if (msr === Msr.TSC_DEADLINE) {
        lapics.advance(lapic, now);
        return lapics.readDeadline(lapic);
      }
      if (register === Register.id) return BigInt(lapic.id);
      if (!lapics.canReadMsr(register)) return invalid();
      const value = BigInt(lapics.readRegister(lapic, register, now));
      return register === Register.command ? BigInt(lapic.registers[Register.commandHigh]!) << 32n | value : value;
    },
    writeMsr(index, msr, value, now) {
      const lapic = local[index]!, register = msr - Msr.X2APIC;
      if (msr === Msr.TSC_DEADLINE) {
        lapics.setDeadline(lapic, value, expiryOf(value, now));
        return schedule();
      }
      if (!lapics.canWriteMsr(register, value)) return invalid();
      if (register === Register.command) lapic.registers[Register.commandHigh] = Number(value >> 32n);
      writeLapic(index, register, Number(value & 0xffffffffn), now);
    },
    synchronise(index, cr8, apicBase, now) {
      const lapic = local[index]!;
      if (lapic.registers[Register.tpr]! >>> 4 !== cr8) lapic.registers[Register.tpr] = cr8 << 4;
      lapics.setBase(lapic, apicBase);
      if (lapic.deadline !== 0n) lapic.expiresAt = expiryOf(lapic.deadline, now);
      schedule();
      update(index);
    },
    acknowledge(index) {
      const lapic = local[index]!;
      const vector = hasExternal(lapic) ? pics.acknowledge(pic) : lapics.acknowledge(lapic);
      updateAll();
      return vector;
    },
    hasStartup: (index) => local[index]!.startup >= 0,
    takeStartup(index) {
      const vector = local[index]!.startup;
      local[index]!.startup = -1;
      return vector;
    },
    reset(index) {
      const { startup } = local[index]!;
      lapics.resetLapic(local[index]!);
      local[index]!.startup = startup;
      schedule();
      update(index);
    },
    save: () => ({ lapics: local.map(lapics.saveLapic), ioapic: ioapics.saveIoapic(ioapic), pic: pics.savePic(pic), pit: pits.savePit(pit) }),
    load(state) {
      local.forEach((lapic, index) => { lapics.loadLapic(lapic, state.lapics[index]!); });
      ioapics.loadIoapic(ioapic, state.ioapic);
      pics.loadPic(pic, state.pic);
      pits.loadPit(pit, state.pit);
      schedule();
    },
  };
}
