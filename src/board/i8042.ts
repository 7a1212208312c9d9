// The keyboard controller (8042) at 60h and 64h, without a keyboard, and system control port A at 92h: the two ways in which PC software
// drives the A20 gate. The gate is the VM's, and whoever wrote last has it his way, as in QEMU and Bochs (chipsets join both by OR). Called
// by `board.ts`. The controller answers at once and raises no interrupt. A reset (bit 0 of 92h and of the output port, command FEh) does
// nothing: there is no firmware that could take over.

export const KEYBOARD_DATA = 0x60;
export const KEYBOARD_COMMAND = 0x64;
export const SYSTEM_CONTROL_A = 0x92;

/** Commands that are followed by a byte at 60h. */
const WRITE_COMMAND_BYTE = 0x60, WRITE_OUTPUT_PORT = 0xd1;
const READ_COMMAND_BYTE = 0x20, SELF_TEST = 0xaa, TEST_KEYBOARD = 0xab, DISABLE_KEYBOARD = 0xad, ENABLE_KEYBOARD = 0xae;
const READ_INPUT_PORT = 0xc0, READ_OUTPUT_PORT = 0xd0, CLOSE_A20 = 0xdd, OPEN_A20 = 0xdf;
/** Of the command byte: keyboard disabled, and the system flag that status bit 2 shows; beside it, as firmware leaves it: scan codes translated. */
const DISABLED = 0x10, SYSTEM = 4, COMMAND_BYTE_RESET = 0x44;
/** Of the status: the keyboard is not locked, a byte is in the output buffer. The input buffer (bit 1) is always empty. */
const UNLOCKED = 0x10, FULL = 1;
/** Of the output port and of 92h. Bit 0 of the output port is the processor's RESET, active low; 2 and 3, 6 and 7 are idle lines. */
const A20 = 2, OUTPUT_PORT_IDLE = 0xcd;
const INPUT_PORT = 0x80, TEST_PASSED = 0x55;

export interface I8042State {
  /** The output buffer. */
  readonly data: number;
  readonly isFull: boolean;
  /** The command that waits for its byte, or 0. */
  readonly command: number;
  readonly commandByte: number;
}

/** The gate that it drives. */
export interface A20Gate {
  isA20Open(): boolean;
  setA20(open: boolean): void;
}

export interface I8042 {
  read(port: number): number;
  write(port: number, value: number): void;
  /** Something is not as after a reset. */
  isUsed(): boolean;
  save(): I8042State;
  load(state: I8042State): void;
}

export const I8042_RESET: I8042State = { data: 0, isFull: false, command: 0, commandByte: COMMAND_BYTE_RESET };

export function createI8042(gate: A20Gate): I8042 {
  let { data, isFull, command, commandByte } = I8042_RESET;

  function answer(value: number): void {
    data = value;
    isFull = true;
  }
  const a20Bit = (): number => gate.isA20Open() ? A20 : 0;
  const setA20 = (value: number): void => { gate.setA20((value & A20) !== 0); };

  function execute(value: number): void {
    command = 0;
    switch (value) {
      case READ_COMMAND_BYTE: return answer(commandByte);
      case WRITE_COMMAND_BYTE: case WRITE_OUTPUT_PORT: command = value; return;
      case SELF_TEST:
        commandByte |= SYSTEM;
        return answer(TEST_PASSED);
      case TEST_KEYBOARD: return answer(0);
      case DISABLE_KEYBOARD: commandByte |= DISABLED; return;
      case ENABLE_KEYBOARD: commandByte &= ~DISABLED; return;
      case READ_INPUT_PORT: return answer(INPUT_PORT);
      case READ_OUTPUT_PORT: return answer(OUTPUT_PORT_IDLE | a20Bit());
      case CLOSE_A20: return gate.setA20(false);
      case OPEN_A20: return gate.setA20(true);
      default:
    }
  }

  /** A byte that no command waits for is the keyboard's, and goes nowhere. */
  function take(value: number): void {
    if (command === WRITE_COMMAND_BYTE) commandByte = value;
    else if (command === WRITE_OUTPUT_PORT) setA20(value);
    command = 0;
  }

  return {
    read(port) {
      if (port === SYSTEM_CONTROL_A) return a20Bit();
      if (port === KEYBOARD_COMMAND) return UNLOCKED | commandByte & SYSTEM | (isFull ? FULL : 0);
      isFull = false;
      return data;
    },
    write(port, value) {
      if (port === SYSTEM_CONTROL_A) setA20(value);
      else if (port === KEYBOARD_COMMAND) execute(value);
      else take(value);
    },
    isUsed: () => data !== 0 || isFull || command !== 0 || commandByte !== COMMAND_BYTE_RESET,
    save: () => ({ data, isFull, command, commandByte }),
    load(state) {
      data = state.data & 0xff;
      isFull = state.isFull === true;
      command = state.command === WRITE_OUTPUT_PORT || state.command === WRITE_COMMAND_BYTE ? state.command : 0;
      commandByte = state.commandByte & 0xff;
    },
  };
}
