// A bootable floppy with one multiboot image on it, for peers that cannot load such an image themselves (Bochs). Needs gcc and
// binutils, as the image itself did.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inProject } from '../project.ts';

const SECTOR = 512, FLOPPY_SECTORS = 2880;
/** Where floppy.S keeps its parameters: place, length, cleared, entry as u32, then the number of sectors as u16. */
const PARAMETERS = 486, SECTORS = 506;

let assembled: Buffer | undefined;
function bootSector(): Buffer {
  if (assembled) return Buffer.from(assembled);
  const folder = mkdtempSync(join(tmpdir(), 'retrovisor-floppy-'));
  try {
    execFileSync('gcc', ['-m32', '-nostdlib', '-static', '-no-pie', '-Wl,-Ttext=0x7c00,--oformat=binary,--build-id=none', '-o', join(folder, 'boot'), inProject('tools/bench/floppy.S')]);
    assembled = readFileSync(join(folder, 'boot'));
    return Buffer.from(assembled);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The loadable parts of an ELF32 file as one block: file bytes by physical address, and how much zero memory follows. */
function flatten(elf: Buffer): { place: number; bytes: Buffer; cleared: number; entry: number } {
  const headers = elf.readUInt32LE(28), size = elf.readUInt16LE(42), count = elf.readUInt16LE(44);
  const segments = Array.from({ length: count }, (_, index) => headers + index * size)
    .filter((at) => elf.readUInt32LE(at) === 1)
    .map((at) => ({ offset: elf.readUInt32LE(at + 4), address: elf.readUInt32LE(at + 12), fileSize: elf.readUInt32LE(at + 16), memorySize: elf.readUInt32LE(at + 20) }));
  const place = Math.min(...segments.map(({ address }) => address));
  const end = Math.max(...segments.map(({ address, fileSize }) => address + fileSize));
  const top = Math.max(...segments.map(({ address, memorySize }) => address + memorySize));
  const bytes = Buffer.alloc(end - place);
  for (const { offset, address, fileSize } of segments) elf.copy(bytes, address - place, offset, offset + fileSize);
  return { place, bytes, cleared: top - end, entry: elf.readUInt32LE(24) };
}

export function bootFloppy(elf: Buffer, commandLine: string): Buffer {
  const { place, bytes, cleared, entry } = flatten(elf);
  const sectors = 1 + Math.ceil(bytes.length / SECTOR);
  if (sectors >= 1024) throw new Error(`The image has ${bytes.length} bytes, more than the boot sector can load.`);
  const floppy = Buffer.alloc(FLOPPY_SECTORS * SECTOR);
  bootSector().copy(floppy);
  [place, bytes.length, cleared, entry].forEach((value, index) => floppy.writeUInt32LE(value, PARAMETERS + 4 * index));
  floppy.writeUInt16LE(sectors, SECTORS);
  floppy.write(`${commandLine}\0`, SECTOR, 'latin1');
  bytes.copy(floppy, 2 * SECTOR);
  return floppy;
}
