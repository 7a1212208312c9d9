// The I/O APIC: 24 pins, a redirection entry each, level and edge (82093AA data sheet; APM Vol. 2, 16.5 for the messages). Plain state
// changed in place; messages to local APICs go through the `send` that is given. `irqchip.ts` calls it.

export const PINS = 24;
export const PAGE = 0xfec00000;
/** Version 11h, as KVM shows it: there is no EOI register. */
const VERSION = 0x11;
const SELECT = 0x00, WINDOW = 0x10;

export interface Ioapic {
  id: number;
  select: number;
  /** Lines that are high, a bit per pin. */
  lines: number;
  /** Requests that wait. */
  pending: number;
  /** Redirection entries: low and high words in turn. */
  readonly entries: Uint32Array;
}

export interface IoapicState { readonly id: number; readonly select: number; readonly lines: number; readonly pending: number; readonly entries: readonly number[] }

export interface Message { readonly destination: number; readonly logical: boolean; readonly delivery: number; readonly vector: number; readonly level: boolean }
type Send = (message: Message) => void;

const MASKED = 0x10000, LEVEL = 0x8000, REMOTE_IRR = 0x4000, STATUS = 0x1000;

export function createIoapic(): Ioapic {
  const entries = new Uint32Array(2 * PINS);
  for (let pin = 0; pin < PINS; pin++) entries[2 * pin] = MASKED;
  return { id: 0, select: 0, lines: 0, pending: 0, entries };
}

export function readIoapic(ioapic: Ioapic, offset: number): number {
  if (offset === SELECT) return ioapic.select;
  if (offset !== WINDOW) return 0;
  switch (ioapic.select) {
    case 0: return (ioapic.id << 24) >>> 0;
    case 1: return (PINS - 1) << 16 | VERSION;
    case 2: return (ioapic.id << 24) >>> 0;
    default: return ioapic.entries[ioapic.select - 0x10] ?? 0xffffffff;
  }
}

export function writeIoapic(ioapic: Ioapic, offset: number, value: number, send: Send): void {
  if (offset === SELECT) ioapic.select = value & 0xff;
  if (offset !== WINDOW) return;
  if (ioapic.select === 0) ioapic.id = value >>> 24 & 0xf;
  const at = ioapic.select - 0x10;
  if (at < 0 || at >= 2 * PINS) return;
  const pin = at >> 1, before = ioapic.entries[2 * pin]!;
  if ((at & 1) !== 0) ioapic.entries[at] = value;
  else {
    // Delivery status and remote IRR cannot be written; an edge entry has no remote IRR.
    ioapic.entries[at] = value & ~(REMOTE_IRR | STATUS) & 0x1ffff | ((value & LEVEL) !== 0 ? before & REMOTE_IRR : 0);
    // What a pin saw as an edge before it became a level is forgotten.
    if ((value & LEVEL) !== 0) ioapic.pending = ioapic.pending & ~(1 << pin) | ioapic.lines & 1 << pin;
  }
  serve(ioapic, pin, send);
}

/** A line changes. */
export function setPin(ioapic: Ioapic, pin: number, high: boolean, send: Send): void {
  const bit = 1 << pin, rises = high && (ioapic.lines & bit) === 0;
  ioapic.lines = high ? ioapic.lines | bit : ioapic.lines & ~bit;
  const level = (ioapic.entries[2 * pin]! & LEVEL) !== 0;
  if (level) ioapic.pending = high ? ioapic.pending | bit : ioapic.pending & ~bit;
  // An edge at a masked pin is lost.
  else if (rises && (ioapic.entries[2 * pin]! & MASKED) === 0) ioapic.pending |= bit;
  else return;
  serve(ioapic, pin, send);
}

function serve(ioapic: Ioapic, pin: number, send: Send): void {
  const entry = ioapic.entries[2 * pin]!, level = (entry & LEVEL) !== 0;
  if ((ioapic.pending & 1 << pin) === 0 || (entry & MASKED) !== 0 || (level && (entry & REMOTE_IRR) !== 0)) return;
  if (level) ioapic.entries[2 * pin] = entry | REMOTE_IRR;
  else ioapic.pending &= ~(1 << pin);
  send({ destination: ioapic.entries[2 * pin + 1]! >>> 24, logical: (entry & 0x800) !== 0, delivery: entry >>> 8 & 7, vector: entry & 0xff, level });
}

/** A local APIC says that the level interrupt of a vector is over. */
export function endOfInterrupt(ioapic: Ioapic, vector: number, send: Send): void {
  for (let pin = 0; pin < PINS; pin++) {
    const entry = ioapic.entries[2 * pin]!;
    if ((entry & 0xff) !== vector || (entry & LEVEL) === 0 || (entry & REMOTE_IRR) === 0) continue;
    ioapic.entries[2 * pin] = entry & ~REMOTE_IRR;
    serve(ioapic, pin, send);
  }
}

export const saveIoapic = ({ id, select, lines, pending, entries }: Ioapic): IoapicState => ({ id, select, lines, pending, entries: [...entries] });

export function loadIoapic(ioapic: Ioapic, state: IoapicState): void {
  ioapic.id = state.id;
  ioapic.select = state.select;
  ioapic.lines = state.lines;
  ioapic.pending = state.pending;
  ioapic.entries.set(state.entries.slice(0, 2 * PINS));
}
