// The 8254 timer of a PC: three counters at the ports 40h..43h, and port 61h with the gate and output of the third (8254 data sheet).
// Counters are functions of the time at which they were loaded. Channel 0 drives interrupt line 0. `irqchip.ts` calls it, with the time
// in ticks of the 8254's clock.

/** The 8254's clock in Hz. */
export const FREQUENCY = 1193182;

export interface Channel {
  mode: number;
  /** 1: low byte, 2: high byte, 3: low, then high. */
  access: number;
  count: number;
  /** When the count was loaded; -1: never. */
  loadedAt: number;
  gate: boolean;
  /** The byte that came first, and which byte is next. */
  held: number; writeHigh: boolean; readHigh: boolean;
  /** A latched count or status; -1: none. */
  latched: number; status: number;
}
export interface Pit {
  readonly channels: readonly [Channel, Channel, Channel];
  /** When channel 0 interrupts next; -1: never. */
  interruptAt: number;
  speaker: boolean;
}

const channel = (gate: boolean): Channel => ({
  mode: 0, access: 3, count: 0x10000, loadedAt: -1, gate, held: 0, writeHigh: false, readHigh: false, latched: -1, status: -1,
});
export const createPit = (): Pit => ({ channels: [channel(true), channel(true), channel(false)], interruptAt: -1, speaker: false });

const isPeriodic = ({ mode }: Channel): boolean => mode === 2 || mode === 3;

function counter(from: Channel, now: number): number {
  if (from.loadedAt < 0) return 0;
  const elapsed = now - from.loadedAt;
  switch (from.mode) {
    case 2: return from.count - elapsed % from.count;
    case 3: return from.count - 2 * elapsed % from.count;
    default: return from.count - elapsed & 0xffff;
  }
}

function outputOf(from: Channel, now: number): boolean {
  if (from.loadedAt < 0) return from.mode !== 0;
  const elapsed = now - from.loadedAt;
  switch (from.mode) {
    case 0: case 1: return elapsed >= from.count;
    case 2: return elapsed % from.count !== from.count - 1;
    case 3: return elapsed % from.count < (from.count + 1) >>> 1;
    default: return elapsed !== from.count;
  }
}

function load(pit: Pit, index: number, value: number, now: number): void {
  const into = pit.channels[index]!;
  into.count = value === 0 ? 0x10000 : value;
  into.loadedAt = now;
  if (index === 0) pit.interruptAt = into.mode === 1 || into.mode === 5 ? -1 : now + into.count;
}

export function writePort(pit: Pit, port: number, value: number, now: number): void {
  if (port === 0x61) {
    const third = pit.channels[2], gate = (value & 1) !== 0;
    if (gate && !third.gate && third.loadedAt >= 0 && third.mode !== 0 && third.mode !== 4) third.loadedAt = now;
    third.gate = gate;
    pit.speaker = (value & 2) !== 0;
  } else if (port === 0x43) writeControl(pit, value, now);
  else writeCount(pit, port & 3, value, now);
}

function writeControl(pit: Pit, value: number, now: number): void {
  const index = value >>> 6;
  if (index === 3) {
    for (let each = 0; each < 3; each++) if ((value & 2 << each) !== 0) readBack(pit.channels[each]!, value, now);
    return;
  }
  const to = pit.channels[index]!, access = value >>> 4 & 3;
  if (access === 0) {
    if (to.latched < 0) to.latched = counter(to, now);
    return;
  }
  to.access = access;
  // Modes 6 and 7 are 2 and 3.
  to.mode = (value >>> 1 & 7) > 5 ? value >>> 1 & 3 : value >>> 1 & 7;
  to.loadedAt = -1;
  to.writeHigh = false;
  to.readHigh = false;
  to.latched = -1;
  if (index === 0) pit.interruptAt = -1;
}

/** The read-back command: bits 5 and 4 low ask for count and status. */
function readBack(from: Channel, value: number, now: number): void {
  if ((value & 0x20) === 0 && from.latched < 0) from.latched = counter(from, now);
  if ((value & 0x10) === 0 && from.status < 0) {
    from.status = (outputOf(from, now) ? 0x80 : 0) | (from.loadedAt < 0 ? 0x40 : 0) | from.access << 4 | from.mode << 1;
  }
}

function writeCount(pit: Pit, index: number, value: number, now: number): void {
  const to = pit.channels[index]!;
  if (to.access === 1) load(pit, index, value, now);
  else if (to.access === 2) load(pit, index, value << 8, now);
  else if (to.writeHigh) {
    to.writeHigh = false;
    load(pit, index, to.held | value << 8, now);
  } else {
    to.held = value;
    to.writeHigh = true;
  }
}

export function readPort(pit: Pit, port: number, now: number): number {
  if (port === 0x61) {
    const third = pit.channels[2];
    // Bit 4, the refresh clock, toggles every 15 µs.
    return (third.gate ? 1 : 0) | (pit.speaker ? 2 : 0) | (Math.floor(now / 18) & 1) << 4 | (outputOf(third, now) ? 0x20 : 0);
  }
  if (port === 0x43) return 0;
  const from = pit.channels[port & 3]!;
  if (from.status >= 0) {
    const status = from.status;
    from.status = -1;
    return status;
  }
  const value = from.latched >= 0 ? from.latched : counter(from, now), high = from.access === 2 || (from.access === 3 && from.readHigh);
  if (from.access === 3) from.readHigh = !from.readHigh;
  if (from.access !== 3 || high) from.latched = -1;
  return (high ? value >>> 8 : value) & 0xff;
}

/** Whether channel 0 has reached its count; the next time is set. */
export function takeInterrupt(pit: Pit, now: number): boolean {
  if (pit.interruptAt < 0 || pit.interruptAt > now) return false;
  const [from] = pit.channels;
  pit.interruptAt = isPeriodic(from) ? pit.interruptAt + (Math.floor((now - pit.interruptAt) / from.count) + 1) * from.count : -1;
  return true;
}

export const savePit = ({ channels: [first, second, third], interruptAt, speaker }: Pit): Pit =>
  ({ channels: [{ ...first }, { ...second }, { ...third }], interruptAt, speaker });

export function loadPit(pit: Pit, state: Pit): void {
  state.channels.forEach((saved, index) => { Object.assign(pit.channels[index]!, saved); });
  pit.interruptAt = state.interruptAt;
  pit.speaker = state.speaker;
}
