// The firmware configuration device at 0x510 and 0x511, with the few items that bare guests ask for: the number of processors and the
// size of RAM. A selector picks an item, reads give its bytes in order and zeros behind its end.

export const FW_CFG_SELECTOR = 0x510;
export const FW_CFG_DATA = 0x511;

export interface FwCfgState { selector: number; position: number }

export interface FwCfg {
  select(selector: number): void;
  read(): number;
  save(): FwCfgState;
  load(state: FwCfgState): void;
}

export function createFwCfg(machine: { cpuCount: number; ramBytes: number }): FwCfg {
  const items: Readonly<Record<number, Uint8Array>> = {
    0x00: new TextEncoder().encode('QEMU'),
    // Interface revision: the traditional one, without DMA.
    0x01: littleEndian(1, 4),
    0x03: littleEndian(machine.ramBytes, 8),
    0x05: littleEndian(machine.cpuCount, 2),
    0x0f: littleEndian(machine.cpuCount, 2),
  };
  const nothing = new Uint8Array(0);
  let selector = 0, position = 0, item = items[0] ?? nothing;
  const choose = (wanted: number, at: number): void => {
    selector = wanted;
    position = at;
    item = items[wanted] ?? nothing;
  };
  return {
    select: (wanted) => choose(wanted, 0),
    // The position stops at the end of the item, so that the state stays small whatever a guest does.
    read: () => (position < item.length ? item[position++]! : 0),
    save: () => ({ selector, position }),
    load: (state) => choose(state.selector, state.position),
  };
}

function littleEndian(value: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => Math.floor(value / 2 ** (8 * index)) & 0xff);
}
