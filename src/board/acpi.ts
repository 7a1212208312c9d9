// The ACPI tables of our board, as small as they can be: where the power-management timer is, which processors and interrupt controllers
// there are. `board.ts` writes them below 1 MiB, where guests look for "RSD PTR " (ACPI 6.5, 5.2). There is no firmware to make them.

export const ACPI_AT = 0xf0000;
export const PM_EVENTS = 0x600;
export const PM_CONTROL = 0x604;
export const PM_TIMER = 0x608;

const HEADER_BYTES = 36;
/** Places of the tables, from ACPI_AT. */
const RSDT = 0x40, FADT = 0x80, FACS = 0x140, DSDT = 0x180, MADT = 0x200;

export function acpiTables(cpuCount: number): Uint8Array {
  const bytes = new Uint8Array(MADT + HEADER_BYTES + 8 + 8 * cpuCount + 12 + 10 + 6), view = new DataView(bytes.buffer);
  const text = (at: number, letters: string): void => { for (let index = 0; index < letters.length; index++) bytes[at + index] = letters.charCodeAt(index); };
  const seal = (at: number, length: number, place: number): void => {
    bytes[place] = 0;
    bytes[place] = -bytes.subarray(at, at + length).reduce((sum, byte) => sum + byte, 0);
  };
  const table = (at: number, signature: string, revision: number, length: number): void => {
    text(at, signature);
    view.setUint32(at + 4, length, true);
    bytes[at + 8] = revision;
    text(at + 10, 'RETRO RETROVSR');
    view.setUint32(at + 24, 1, true);
    text(at + 28, 'RTRO');
    view.setUint32(at + 32, 1, true);
    seal(at, length, at + 9);
  };

  // Root pointer: revision 0, 20 bytes.
  text(0, 'RSD PTR ');
  text(9, 'RETRO ');
  view.setUint32(16, ACPI_AT + RSDT, true);
  seal(0, 20, 8);

  view.setUint32(RSDT + HEADER_BYTES, ACPI_AT + FADT, true);
  view.setUint32(RSDT + HEADER_BYTES + 4, ACPI_AT + MADT, true);
  table(RSDT, 'RSDT', 1, HEADER_BYTES + 8);

  const fadt = (offset: number, value: number): void => view.setUint32(FADT + offset, value, true);
  fadt(36, ACPI_AT + FACS);
  fadt(40, ACPI_AT + DSDT);
  view.setUint16(FADT + 46, 9, true);
  fadt(56, PM_EVENTS);
  fadt(64, PM_CONTROL);
  fadt(76, PM_TIMER);
  bytes.set([4, 2, 0, 4], FADT + 88);
  // WBINVD works, and the timer has 32 bits.
  fadt(112, 0x101);
  table(FADT, 'FACP', 1, 116);

  text(FACS, 'FACS');
  view.setUint32(FACS + 4, 64, true);
  table(DSDT, 'DSDT', 1, HEADER_BYTES);

  view.setUint32(MADT + HEADER_BYTES, 0xfee00000, true);
  // There is an 8259 pair.
  view.setUint32(MADT + HEADER_BYTES + 4, 1, true);
  let at = MADT + HEADER_BYTES + 8;
  for (let id = 0; id < cpuCount; id++, at += 8) bytes.set([0, 8, id, id, 1, 0, 0, 0], at);
  bytes.set([1, 12, cpuCount & 0xff, 0], at);
  view.setUint32(at + 4, 0xfec00000, true);
  at += 12;
  // Line 0 is pin 2.
  bytes.set([2, 10, 0, 0, 2, 0, 0, 0, 0, 0], at);
  at += 10;
  // LINT1 of every processor is NMI.
  bytes.set([4, 6, 0xff, 0, 0, 1], at);
  table(MADT, 'APIC', 1, bytes.length - MADT);
  return bytes;
}
