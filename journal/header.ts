// The header: what a run is a function of, besides its inputs. It is checked field by field when a journal is opened, because the
// machine is built from it.
import { beginChain, packPlain, type Chain } from './codec.ts';
import { corrupt } from './error.ts';
import { MAX_VCPUS } from './events.ts';
import { PAGE_BYTES } from './pages.ts';

export interface Image {
  /** The file's name as the user gave it. */
  readonly name: string;
  readonly role: 'kernel' | 'initrd';
  readonly bytes: number;
  /** SHA-256, hex. */
  readonly digest: string;
}

/** What makes the machine. */
export interface MachineHeader {
  /** CPU model with changes: `EPYC-Milan,+cet-ss`. */
  readonly model: string;
  readonly behaviours: Readonly<Record<string, string>>;
  /** Of RDRAND and RDSEED. */
  readonly seed: bigint;
  readonly ramBytes: number;
  readonly cpuCount: number;
  /** Instructions in a vCPU's turn. */
  readonly quantum: number;
  readonly tscKhz: number;
}

export interface Header extends MachineHeader {
  /** Version of the engine that recorded. */
  readonly engine: string;
  /** A Checkpoint event stands at every multiple of this instruction count. */
  readonly checkpointInterval: number;
  readonly images: readonly Image[];
  /** What the guest was given. */
  readonly commandLine: string;
  /** When, as text; given by the caller. */
  readonly created: string;
  /** A branch names the journal that it leaves, and where. */
  readonly parent: { readonly journal: string; readonly position: string } | null;
}

/** RAM of a journal that is worth opening. */
const MAX_RAM_BYTES = 2 ** 40;
const MAX_TEXT = 1 << 16;

/** Columns of the header table, in its order, without those about the format. */
export const headerColumns = [
  'engine', 'model', 'behaviours', 'seed', 'ram_bytes', 'cpu_count', 'quantum', 'tsc_khz', 'checkpoint_interval', 'images', 'command_line', 'created', 'parent',
] as const;
type Row = Readonly<Record<(typeof headerColumns)[number], unknown>>;

export const headerRow = (header: Header): Row => ({
  engine: header.engine, model: header.model, behaviours: JSON.stringify(header.behaviours), seed: `0x${header.seed.toString(16).padStart(16, '0')}`,
  ram_bytes: header.ramBytes, cpu_count: header.cpuCount, quantum: header.quantum, tsc_khz: header.tscKhz,
  checkpoint_interval: header.checkpointInterval, images: JSON.stringify(header.images), command_line: header.commandLine, created: header.created,
  parent: header.parent === null ? null : JSON.stringify(header.parent),
});

/** Checks a row of the header table and makes a header of it. */
export function readHeaderRow(row: Row): Header {
  const seed = text(row, 'seed');
  if (!/^0x[0-9a-f]{16}$/.test(seed)) throw corrupt('header', 'seed is not 0x and 16 hex digits');
  const ramBytes = natural(row, 'ram_bytes', PAGE_BYTES, MAX_RAM_BYTES);
  if (ramBytes % PAGE_BYTES !== 0) throw corrupt('header', `ram_bytes ${ramBytes} is not a number of pages`);
  return {
    engine: text(row, 'engine'), model: text(row, 'model'), behaviours: strings('behaviours', json(row, 'behaviours')), seed: BigInt(seed), ramBytes,
    cpuCount: natural(row, 'cpu_count', 1, MAX_VCPUS), quantum: natural(row, 'quantum', 1), tscKhz: natural(row, 'tsc_khz', 1),
    checkpointInterval: natural(row, 'checkpoint_interval', 1), images: readImages(json(row, 'images')), commandLine: text(row, 'command_line'),
    created: text(row, 'created'), parent: row.parent === null ? null : readParent(json(row, 'parent')),
  };
}

/** The chain before the first event. */
export const chainOf = (header: Header): Chain => beginChain(packPlain(Object.values(headerRow(header))));

function text(row: Row, column: (typeof headerColumns)[number]): string {
  const value = row[column];
  if (typeof value !== 'string' || value.length > MAX_TEXT) throw corrupt('header', `${column} is not a text of at most ${MAX_TEXT} characters`);
  return value;
}

function natural(row: Row, column: (typeof headerColumns)[number], least: number, most = Number.MAX_SAFE_INTEGER): number {
  const value = row[column];
  if (!Number.isSafeInteger(value) || (value as number) < least || (value as number) > most) throw corrupt('header', `${column} is not a number from ${least} to ${most}`);
  return value as number;
}

function json(row: Row, column: (typeof headerColumns)[number]): unknown {
  try {
    return JSON.parse(text(row, column));
  } catch (error) {
    throw error instanceof SyntaxError ? corrupt('header', `${column} is not JSON`) : error;
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

function strings(column: string, value: unknown): Record<string, string> {
  if (!isRecord(value) || !Object.values(value).every((each) => typeof each === 'string')) throw corrupt('header', `${column} is not an object of texts`);
  return value as Record<string, string>;
}

function readImages(value: unknown): Image[] {
  if (!Array.isArray(value)) throw corrupt('header', 'images is not an array');
  return value.map((each: unknown) => {
    const { name, role, bytes, digest } = isRecord(each) ? each : {};
    if (typeof name !== 'string' || (role !== 'kernel' && role !== 'initrd') || !Number.isSafeInteger(bytes) || typeof digest !== 'string') {
      throw corrupt('header', 'an image without name, role, bytes and digest');
    }
    return { name, role, bytes: bytes as number, digest };
  });
}

function readParent(value: unknown): Header['parent'] {
  const { journal, position } = isRecord(value) ? value : {};
  if (typeof journal !== 'string' || typeof position !== 'string') throw corrupt('header', 'parent does not name a journal and a position');
  return { journal, position };
}
