// The page at 0xfee00000 of a machine whose kernel side has no interrupt controller: registers that keep what is written, so that guests
// which only set up their local APIC get through. It delivers no interrupt and runs no timer, and CPUID does not claim an APIC.

export const APIC_PAGE = 0xfee00000;
export const APIC_PAGE_SIZE = 0x1000;

const ID = 0x20 >> 4, VERSION = 0x30 >> 4, EOI = 0xb0 >> 4, SPURIOUS = 0xf0 >> 4, INTERRUPT_COMMAND = 0x300 >> 4, CURRENT_COUNT = 0x390 >> 4;
const LOCAL_VECTORS = [0x320, 0x330, 0x340, 0x350, 0x360, 0x370].map((offset) => offset >> 4);
/** ICR bit 12: the last command is on its way. Nothing is ever on its way here. */
const DELIVERY_PENDING = 0x1000;
const REGISTERS = 0x40;
const readOnly = new Set([VERSION, CURRENT_COUNT, EOI, ...Array.from({ length: 24 }, (_, index) => 0x10 + index)]);

export interface ApicPage {
  /** `offset` in the page; a 32-bit register per 16 bytes. */
  read(offset: number): number;
  write(offset: number, value: number): void;
  save(): number[];
  load(state: readonly number[]): void;
}

export function createApicPage(): ApicPage {
  const registers = new Uint32Array(REGISTERS);
  registers[VERSION] = 0x50014;
  registers[ID] = 0;
  registers[SPURIOUS] = 0xff;
  for (const register of LOCAL_VECTORS) registers[register] = 0x10000;
  return {
    read: (offset) => registers[offset >> 4] ?? 0,
    write(offset, value) {
      const register = offset >> 4;
      if (register >= REGISTERS || readOnly.has(register)) return;
      registers[register] = register === INTERRUPT_COMMAND ? value & ~DELIVERY_PENDING : value;
    },
    save: () => [...registers],
    load: (state) => registers.set(state),
  };
}
