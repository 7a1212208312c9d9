// The pair of 8259A interrupt controllers of a PC (8259A data sheet), with the edge/level registers of the chip sets. Plain state changed
// in place. `irqchip.ts` calls it for the ports 20h, 21h, A0h, A1h, 4D0h and 4D1h, and when the processor takes its interrupt.

export interface Controller {
  /** Lines that are high. */
  lines: number;
  requests: number; service: number; mask: number;
  /** Line with the highest priority. */
  first: number;
  vector: number;
  /** Which initialization word comes next; 0: none. */
  expects: number;
  fourWords: boolean;
  readService: boolean; poll: boolean; specialMask: boolean; autoEnd: boolean; rotateOnEnd: boolean; specialNested: boolean;
  /** Lines that are level-triggered. */
  level: number;
}
export interface Pic { readonly primary: Controller; readonly secondary: Controller }

const MASTER_LEVEL = 0xf8, SLAVE_LEVEL = 0xde, CASCADE = 2;

const controller = (vector: number): Controller => ({
  lines: 0, requests: 0, service: 0, mask: 0, first: 0, vector, expects: 0, fourWords: false,
  readService: false, poll: false, specialMask: false, autoEnd: false, rotateOnEnd: false, specialNested: false, level: 0,
});
/** As the firmware of a PC leaves them: vectors 8 and 70h. */
export const createPic = (): Pic => ({ primary: controller(8), secondary: controller(0x70) });

/** The line among `bits` with the highest priority, counted from `first`; 8: none. */
function priority(chip: Controller, bits: number): number {
  for (let step = 0; step < 8; step++) if ((bits & 1 << ((step + chip.first) & 7)) !== 0) return step;
  return 8;
}

/** The line that the controller asks for now; -1: none. */
function asks(chip: Controller, isPrimary: boolean): number {
  const waiting = priority(chip, chip.requests & ~chip.mask);
  if (waiting === 8) return -1;
  let service = chip.service;
  if (chip.specialMask) service &= ~chip.mask;
  if (chip.specialNested && isPrimary) service &= ~(1 << CASCADE);
  return waiting < priority(chip, service) ? (waiting + chip.first) & 7 : -1;
}

function setLine(chip: Controller, line: number, high: boolean): void {
  const bit = 1 << line;
  if ((chip.level & bit) !== 0) chip.requests = high ? chip.requests | bit : chip.requests & ~bit;
  else if (high && (chip.lines & bit) === 0) chip.requests |= bit;
  chip.lines = high ? chip.lines | bit : chip.lines & ~bit;
}

/** The secondary's output is a line of the primary. */
function cascade({ primary, secondary }: Pic): void {
  const high = asks(secondary, false) >= 0;
  setLine(primary, CASCADE, high);
  if (!high) primary.requests &= ~(1 << CASCADE);
}

export function setPin(pic: Pic, pin: number, high: boolean): void {
  setLine(pin < 8 ? pic.primary : pic.secondary, pin & 7, high);
  cascade(pic);
}

/** INTR is high. */
export const output = (pic: Pic): boolean => asks(pic.primary, true) >= 0;

function take(chip: Controller, line: number): void {
  const bit = 1 << line;
  if (chip.autoEnd) {
    if (chip.rotateOnEnd) chip.first = (line + 1) & 7;
  } else chip.service |= bit;
  if ((chip.level & bit) === 0) chip.requests &= ~bit;
}

/** The processor acknowledges: the vector. Without a request it is the lowest line's ("spurious"). */
export function acknowledge(pic: Pic): number {
  const { primary, secondary } = pic, line = asks(primary, true);
  if (line < 0) return primary.vector + 7;
  take(primary, line);
  if (line !== CASCADE) return primary.vector + line;
  const second = asks(secondary, false);
  if (second >= 0) take(secondary, second);
  cascade(pic);
  return secondary.vector + (second >= 0 ? second : 7);
}

export function readPort(pic: Pic, port: number): number {
  if (port === 0x4d0) return pic.primary.level;
  if (port === 0x4d1) return pic.secondary.level;
  const chip = port < 0xa0 ? pic.primary : pic.secondary;
  if (chip.poll) {
    chip.poll = false;
    const line = asks(chip, chip === pic.primary);
    if (line < 0) return 7;
    take(chip, line);
    cascade(pic);
    return 0x80 | line;
  }
  return (port & 1) !== 0 ? chip.mask : chip.readService ? chip.service : chip.requests;
}

export function writePort(pic: Pic, port: number, value: number): void {
  if (port === 0x4d0) pic.primary.level = value & MASTER_LEVEL;
  else if (port === 0x4d1) pic.secondary.level = value & SLAVE_LEVEL;
  else if ((port & 1) === 0) writeCommand(port < 0xa0 ? pic.primary : pic.secondary, value);
  else writeData(port < 0xa0 ? pic.primary : pic.secondary, value);
  cascade(pic);
}

function writeCommand(chip: Controller, value: number): void {
  if ((value & 0x10) !== 0) {
    // ICW1: everything starts anew, edges seen so far are forgotten.
    Object.assign(chip, { ...controller(chip.vector), lines: chip.lines, level: chip.level, requests: chip.lines & chip.level });
    chip.expects = 2;
    chip.fourWords = (value & 1) !== 0;
  } else if ((value & 8) !== 0) {
    chip.poll = (value & 4) !== 0;
    if ((value & 2) !== 0) chip.readService = (value & 1) !== 0;
    if ((value & 0x40) !== 0) chip.specialMask = (value & 0x20) !== 0;
  } else writeEnd(chip, value >>> 5, value & 7);
}

/** OCW2: rotate, specific, end of interrupt. */
function writeEnd(chip: Controller, command: number, line: number): void {
  const [rotate, specific, end] = [(command & 4) !== 0, (command & 2) !== 0, (command & 1) !== 0];
  if (!end) {
    if (specific && rotate) chip.first = (line + 1) & 7;
    else if (!specific) chip.rotateOnEnd = rotate;
    return;
  }
  const step = priority(chip, chip.service);
  const ended = specific ? line : step === 8 ? -1 : (step + chip.first) & 7;
  if (ended < 0) return;
  chip.service &= ~(1 << ended);
  if (rotate) chip.first = (ended + 1) & 7;
}

function writeData(chip: Controller, value: number): void {
  switch (chip.expects) {
    case 0:
      chip.mask = value;
      return;
    case 2:
      chip.vector = value & 0xf8;
      chip.expects = 3;
      return;
    case 3:
      chip.expects = chip.fourWords ? 4 : 0;
      return;
    default:
      chip.specialNested = (value & 0x10) !== 0;
      chip.autoEnd = (value & 2) !== 0;
      chip.expects = 0;
  }
}

export const savePic = ({ primary, secondary }: Pic): Pic => ({ primary: { ...primary }, secondary: { ...secondary } });

export function loadPic(pic: Pic, state: Pic): void {
  Object.assign(pic.primary, state.primary);
  Object.assign(pic.secondary, state.secondary);
}
