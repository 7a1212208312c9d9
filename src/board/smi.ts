// How a guest asks for a system-management interrupt: the two APM ports and the SMI enable register of an ICH9 south bridge. A write of the
// command port raises an SMI on the processor that wrote, where the guest has enabled that. Called by `board.ts`.

export const APM_COMMAND = 0xb2;
export const APM_STATUS = 0xb3;
/** PMBASE + 30h, four bytes. */
export const SMI_ENABLE = 0x630;
const BYTES = 6;
/** GBL_SMI_EN and APMC_EN. */
const ENABLED = 0x21;

export interface SmiState { readonly bytes: readonly number[] }

export interface SmiPorts {
  claims(port: number): boolean;
  read(port: number): number;
  /** True: raise an SMI. */
  write(port: number, value: number): boolean;
  isUsed(): boolean;
  save(): SmiState;
  load(state: SmiState): void;
}

export function createSmiPorts(): SmiPorts {
  const bytes = new Uint8Array(BYTES);
  const placeOf = (port: number): number => port < SMI_ENABLE ? port - APM_COMMAND + 4 : port - SMI_ENABLE;
  return {
    claims: (port) => port === APM_COMMAND || port === APM_STATUS || (port >= SMI_ENABLE && port < SMI_ENABLE + 4),
    read: (port) => bytes[placeOf(port)]!,
    write(port, value) {
      bytes[placeOf(port)] = value;
      return port === APM_COMMAND && (bytes[0]! & ENABLED) === ENABLED;
    },
    isUsed: () => bytes.some((byte) => byte !== 0),
    save: () => ({ bytes: [...bytes] }),
    load(state) { bytes.set(state.bytes.slice(0, BYTES)); },
  };
}
