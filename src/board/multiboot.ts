// Reads a multiboot v1 image (an ELF32 file with a multiboot header) and says what belongs where in guest memory and which registers
// the guest starts with. Called by `board.ts`. The bytes may come from anybody: every size and offset is checked before it is used.

/** An image that cannot be loaded: what is wrong, and what to do about it. */
export class ImageError extends Error {
  readonly code: 'not-elf' | 'not-elf32' | 'not-i386' | 'not-executable' | 'malformed' | 'no-multiboot' | 'unsupported' | 'too-big';
  readonly advice: string;
  constructor(code: ImageError['code'], message: string, advice: string) {
    super(message);
    this.name = 'ImageError';
    this.code = code;
    this.advice = advice;
  }
}

export interface Segment {
  readonly guestPhysical: number;
  /** A view of the file: what is stored. */
  readonly bytes: Uint8Array;
  /** Bytes in memory: what the file does not give is zero. */
  readonly memorySize: number;
}

export interface Image {
  readonly entry: number;
  readonly segments: readonly Segment[];
}

/** The legacy video window, where a guest has no RAM. */
export const VIDEO_WINDOW = 0xa0000, VIDEO_WINDOW_END = 0xc0000;

const MAGIC = 0x1badb002;
/** The header lies in the first 8 KiB of the file (Multiboot 0.6.96, 3.1). */
const SEARCH_BYTES = 8192;
const SEGMENTS = 64;
/** Requests that this loader meets: modules on page borders, memory information. A video mode (bit 2) is only a wish. */
const KNOWN_REQUESTS = 0x7;

const buildAdvice = 'Give a multiboot v1 kernel in an ELF32 file; an ELF64 one becomes that with “objcopy -O elf32-i386”.';
const brokenAdvice = 'The file is damaged or was cut short: build or copy it again.';

/** Reads the ELF and multiboot headers. `ramBytes` is the RAM below 4 GiB that the image has to fit into. */
export function readImage(file: Uint8Array, ramBytes: number): Image {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < 52 || view.getUint32(0) !== 0x7f454c46) throw new ImageError('not-elf', 'The image is not an ELF file.', buildAdvice);
  if (file[4] !== 1 || file[5] !== 1) throw new ImageError('not-elf32', 'The image is an ELF file, but not a 32-bit little-endian one.', buildAdvice);
  if (view.getUint16(18, true) !== 3) throw new ImageError('not-i386', 'The image is an ELF file, but not for the i386.', buildAdvice);
  if (view.getUint16(16, true) !== 2) throw new ImageError('not-executable', 'The image is an ELF file, but not an executable with fixed addresses.', 'Link it to the end (not with -r, -shared or -pie).');
  checkHeader(view);
  const segments = readSegments(file, view, ramBytes);
  const entry = view.getUint32(24, true);
  if (!segments.some(({ guestPhysical, memorySize }) => entry >= guestPhysical && entry < guestPhysical + memorySize)) {
    throw new ImageError('malformed', `The image starts at 0x${entry.toString(16)}, where it has nothing.`, brokenAdvice);
  }
  return { entry, segments };
}

function checkHeader(view: DataView): void {
  const end = Math.min(view.byteLength, SEARCH_BYTES) - 12;
  for (let at = 0; at <= end; at += 4) {
    if (view.getUint32(at, true) !== MAGIC) continue;
    const flags = view.getUint32(at + 4, true);
    if (((MAGIC + flags + view.getUint32(at + 8, true)) >>> 0) !== 0) continue;
    const unknown = flags & 0xffff & ~KNOWN_REQUESTS;
    if (unknown) {
      throw new ImageError('unsupported', `The image asks its loader for something unknown (multiboot flags 0x${flags.toString(16)}).`, 'Clear the bits 3 to 15 of the multiboot flags.');
    }
    if (flags & 0x10000) {
      throw new ImageError('unsupported', 'The image gives load addresses in its multiboot header (flag 16).', 'Clear that flag: the ELF headers say the same.');
    }
    return;
  }
  throw new ImageError('no-multiboot', `The image has no multiboot header in its first ${SEARCH_BYTES} bytes.`, 'Put the header first in the link order; Linux kernels cannot be booted this way.');
}

function readSegments(file: Uint8Array, view: DataView, ramBytes: number): Segment[] {
  const table = view.getUint32(28, true), entrySize = view.getUint16(42, true), count = view.getUint16(44, true);
  if (count > SEGMENTS) throw new ImageError('malformed', `The image has ${count} program headers, more than the ${SEGMENTS} that are read.`, brokenAdvice);
  if (entrySize < 32 || table + entrySize * count > file.length) {
    throw new ImageError('malformed', 'The program headers of the image lie outside the file.', brokenAdvice);
  }
  const segments: Segment[] = [];
  for (let index = 0; index < count; index++) {
    const at = table + index * entrySize;
    if (view.getUint32(at, true) !== 1) continue;
    const segment = readSegment(file, view, at, ramBytes);
    if (segment.memorySize > 0) segments.push(segment);
  }
  if (segments.length === 0) throw new ImageError('malformed', 'The image has nothing to load.', brokenAdvice);
  return segments;
}

function readSegment(file: Uint8Array, view: DataView, at: number, ramBytes: number): Segment {
  const offset = view.getUint32(at + 4, true), guestPhysical = view.getUint32(at + 12, true);
  const fileSize = view.getUint32(at + 16, true), memorySize = view.getUint32(at + 20, true);
  if (offset + fileSize > file.length || fileSize > memorySize) {
    throw new ImageError('malformed', 'A segment of the image lies outside the file, or is larger there than in memory.', brokenAdvice);
  }
  if (guestPhysical + memorySize > ramBytes) {
    const need = Math.ceil((guestPhysical + memorySize) / 2 ** 20);
    throw new ImageError('too-big', `The image needs memory up to ${need} MiB, and the machine has ${Math.floor(ramBytes / 2 ** 20)} MiB.`, `Give it more: --memory ${need + 1}M.`);
  }
  if (memorySize > 0 && guestPhysical < VIDEO_WINDOW_END && guestPhysical + memorySize > VIDEO_WINDOW) {
    throw new ImageError('unsupported', 'A segment of the image reaches into the legacy video window (0xa0000 to 0xbffff), where there is no RAM.', 'Link it to 1 MiB or above.');
  }
  return { guestPhysical, bytes: file.subarray(offset, offset + fileSize), memorySize };
}

export interface Placed { readonly guestPhysical: number; readonly bytes: Uint8Array }

/** Where the information block lies unless the image is there: the top of conventional memory, which no guest expects to be free. */
const INFO_AT = 0x9e000;
const INFO_END = VIDEO_WINDOW;
const MODULE_LIMIT = 0xffffffff;
const pageUp = (address: number): number => Math.ceil(address / 4096) * 4096;

/**
 * The multiboot information, the command line and the module (Multiboot 0.6.96, 3.3), placed behind the image or below 640 KiB.
 * `lowRam` is the RAM from 0, `highRam` the RAM from 4 GiB. Returns what to write and the address of the information.
 */
export function bootInformation(image: Image, commandLine: string, initrd: Uint8Array | undefined, lowRam: number, highRam: number) {
  const end = pageUp(Math.max(0x100000, ...image.segments.map(({ guestPhysical, memorySize }) => guestPhysical + memorySize)));
  const line = encodeLine(commandLine);
  const size = INFO_BYTES + line.length;
  const hidden = image.segments.some(({ guestPhysical, memorySize }) => guestPhysical < INFO_END && guestPhysical + memorySize > INFO_AT);
  const low = !hidden && size <= INFO_END - INFO_AT && lowRam >= INFO_END;
  const moduleAt = low ? end : end + pageUp(size);
  const needed = moduleAt + (initrd?.length ?? 0);
  if (needed > Math.min(lowRam, MODULE_LIMIT)) {
    const megabytes = Math.ceil(needed / 2 ** 20);
    throw new ImageError('too-big', `The image and its module need ${megabytes} MiB, and the machine has ${Math.floor(lowRam / 2 ** 20)} MiB.`, `Give it more: --memory ${megabytes + 1}M.`);
  }
  const infoAt = low ? INFO_AT : end;
  const info = new Uint8Array(size);
  info.set(line, INFO_BYTES);
  writeInfo(new DataView(info.buffer), infoAt, initrd ? { start: moduleAt, end: needed } : undefined, lowRam, highRam);
  const writes: Placed[] = [{ guestPhysical: infoAt, bytes: info }];
  if (initrd) writes.push({ guestPhysical: moduleAt, bytes: initrd });
  return { infoAt, writes };
}

// Our own order inside the block: the information, the module entry, the memory map, the loader's name, then the command line.
const MODULE_ENTRY = 128;
const MAP = 144;
const LOADER_NAME = 240;
const INFO_BYTES = 256;

/** One byte per letter: the guest knows nothing else. A zero would end the line early. */
function encodeLine(line: string): Uint8Array {
  const bytes = new TextEncoder().encode(line).filter((byte) => byte !== 0);
  const ended = new Uint8Array(bytes.length + 1);
  ended.set(bytes);
  return ended;
}

function writeInfo(view: DataView, at: number, module: { start: number; end: number } | undefined, lowRam: number, highRam: number): void {
  const put = (offset: number, value: number): void => view.setUint32(offset, value, true);
  const ranges = [[0, INFO_AT], [0x100000, lowRam - 0x100000], ...(highRam > 0 ? [[2 ** 32, highRam]] : [])];
  // Memory, command line, modules, memory map, loader name.
  put(0, 0x1 | 0x4 | (module ? 0x8 : 0) | 0x40 | 0x200);
  put(4, INFO_AT / 1024);
  put(8, Math.max(0, lowRam / 1024 - 1024));
  put(16, at + INFO_BYTES);
  put(20, module ? 1 : 0);
  put(24, at + MODULE_ENTRY);
  put(44, ranges.length * 24);
  put(48, at + MAP);
  put(64, at + LOADER_NAME);
  if (module) {
    put(MODULE_ENTRY, module.start);
    put(MODULE_ENTRY + 4, module.end);
    // An empty line: the zero behind the loader's name.
    put(MODULE_ENTRY + 8, at + INFO_BYTES - 1);
  }
  ranges.forEach(([base = 0, length = 0], index) => {
    const entry = MAP + index * 24;
    put(entry, 20);
    view.setBigUint64(entry + 4, BigInt(base), true);
    view.setBigUint64(entry + 12, BigInt(Math.max(0, length)), true);
    put(entry + 20, 1);
  });
  [...'retrovisor'].forEach((letter, index) => view.setUint8(LOADER_NAME + index, letter.charCodeAt(0)));
}

/** EAX at the entry (Multiboot 0.6.96, 3.2). */
export const BOOT_MAGIC = 0x2badb002n;
