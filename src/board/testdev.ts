// The device that test guests of hypervisors drive interrupts and odd accesses with (QEMU's pc-testdev): interrupt lines at 2000h + n, a
// register that echoes at E0h, a page of memory behind MMIO at FF000000h. Called by `board.ts`.

export const TEST_LINES = 0x2000;
export const TEST_LINE_COUNT = 24;
export const TEST_ECHO = 0xe0;
export const TEST_ECHO_BYTES = 4;
export const TEST_MEMORY = 0xff000000;
export const TEST_MEMORY_SIZE = 0x10000;

export interface TestdevState {
  readonly echo: readonly number[];
  /** Empty until something was written. */
  readonly memory: Uint8Array;
}

export interface Testdev {
  readEcho(byte: number): number;
  writeEcho(byte: number, value: number): void;
  readMemory(offset: number, data: Uint8Array): void;
  writeMemory(offset: number, data: Uint8Array): void;
  /** A number over the memory. */
  digest(): number;
  save(): TestdevState;
  load(state: TestdevState): void;
}

export function createTestdev(): Testdev {
  const echo = new Uint8Array(TEST_ECHO_BYTES);
  let memory = new Uint8Array(0);
  return {
    readEcho: (byte) => echo[byte]!,
    writeEcho(byte, value) { echo[byte] = value; },
    readMemory(offset, data) {
      for (let index = 0; index < data.length; index++) data[index] = memory[offset + index] ?? 0;
    },
    writeMemory(offset, data) {
      if (memory.length === 0) memory = new Uint8Array(TEST_MEMORY_SIZE);
      for (let index = 0; index < data.length && offset + index < TEST_MEMORY_SIZE; index++) memory[offset + index] = data[index]!;
    },
    digest: () => memory.reduce((sum, byte) => Math.imul(sum ^ byte, 0x01000193), memory.length),
    save: () => ({ echo: [...echo], memory: memory.slice() }),
    load(state) {
      echo.set(state.echo.slice(0, TEST_ECHO_BYTES));
      memory = state.memory.slice(0, TEST_MEMORY_SIZE);
    },
  };
}
