// COM1: the part of a 16550A that polled drivers use. Output goes to a callback byte by byte, input comes from `receive`. What it
// answers depends on its state and on the access alone; nothing here knows a clock, so a byte is sent the moment it is written.

const FIFO_BYTES = 16;
/** LSR: transmitter empty and holding register empty, always. */
const SENT = 0x60;
const DATA_READY = 1;

export interface UartState {
  interruptEnable: number; fifoControl: number; lineControl: number; modemControl: number; scratch: number; divisor: number;
  /** An interrupt for the empty holding register is pending: set by a write, cleared by reading IIR. */
  holdingEmpty: number;
  /** Bytes in the receiver, then those that wait on the line. */
  received: number[];
}

export interface Uart {
  /** `register` is 0..7; a byte. */
  read(register: number): number;
  write(register: number, value: number): void;
  receive(bytes: Uint8Array): void;
  save(): UartState;
  load(state: UartState): void;
}

export function createUart(send: (byte: number) => void): Uart {
  let interruptEnable = 0, fifoControl = 0, lineControl = 0, modemControl = 0, scratch = 0, divisor = 12, holdingEmpty = 0;
  // The queue begins at `head`: taking a byte must not move the others.
  let received: number[] = [], head = 0;

  const waiting = (): number => received.length - head;
  function take(): number {
    if (waiting() === 0) return 0;
    const byte = received[head++]!;
    if (head === 4096) drop(0);
    return byte;
  }
  function drop(count: number): void {
    received = received.slice(head + count);
    head = 0;
  }
  const loops = (): boolean => (modemControl & 0x10) !== 0;
  const latched = (): boolean => (lineControl & 0x80) !== 0;

  function readIdentification(): number {
    const fifo = fifoControl & 1 ? 0xc0 : 0;
    if (interruptEnable & 1 && waiting() > 0) return fifo | 4;
    if (interruptEnable & 2 && holdingEmpty) {
      holdingEmpty = 0;
      return fifo | 2;
    }
    return fifo | 1;
  }

  /** MSR: CTS, DSR and DCD are up; in loop mode they follow RTS, DTR, OUT1 and OUT2. */
  function readModemStatus(): number {
    if (!loops()) return 0xb0;
    return ((modemControl & 2) << 3) | ((modemControl & 1) << 5) | ((modemControl & 0xc) << 4);
  }

  function transmit(byte: number): void {
    holdingEmpty = 1;
    if (loops()) received.push(byte);
    else send(byte);
  }

  function writeFifoControl(value: number): void {
    // Bit 1 empties the receiver; what is still on the line comes in afterwards.
    if (value & 2) drop(FIFO_BYTES);
    fifoControl = value & 0xc9;
  }

  return {
    read(register) {
      switch (register) {
        case 0: return latched() ? divisor & 0xff : take();
        case 1: return latched() ? divisor >> 8 : interruptEnable;
        case 2: return readIdentification();
        case 3: return lineControl;
        case 4: return modemControl;
        case 5: return waiting() > 0 ? SENT | DATA_READY : SENT;
        case 6: return readModemStatus();
        default: return scratch;
      }
    },
    write(register, value) {
      switch (register) {
        case 0:
          if (latched()) divisor = (divisor & 0xff00) | value;
          else transmit(value);
          return;
        case 1:
          if (latched()) divisor = (divisor & 0xff) | (value << 8);
          else {
            if (value & 2 && !(interruptEnable & 2)) holdingEmpty = 1;
            interruptEnable = value & 0xf;
          }
          return;
        case 2: return writeFifoControl(value);
        case 3: lineControl = value; return;
        case 4: modemControl = value & 0x1f; return;
        case 7: scratch = value; return;
        default: return;
      }
    },
    receive(bytes) {
      for (const byte of bytes) received.push(byte);
    },
    save: () => ({ interruptEnable, fifoControl, lineControl, modemControl, scratch, divisor, holdingEmpty, received: received.slice(head) }),
    load(state) {
      ({ interruptEnable, fifoControl, lineControl, modemControl, scratch, divisor, holdingEmpty } = state);
      received = [...state.received];
      head = 0;
    },
  };
}
