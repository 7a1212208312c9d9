// Images: the real ones are placed as the multiboot specification says, and no bytes whatever make the loader crash or allocate.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createBoard } from '../../src/board/board.ts';
import { bootInformation, ImageError, readImage } from '../../src/board/multiboot.ts';
import { createFakeVm } from './fake-vm.ts';

const bench64 = new Uint8Array(readFileSync(new URL('../programs/bench/out/bench64.elf', import.meta.url)));
const MiB = 2 ** 20;

/** A tiny image: header, one segment at 1 MiB. */
function tinyImage(change: (view: DataView) => void = () => undefined): Uint8Array {
  const file = new Uint8Array(0x80);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 3, true);
  view.setUint32(24, 0x10000c, true);
  view.setUint32(28, 52, true);
  view.setUint16(42, 32, true);
  view.setUint16(44, 1, true);
  [1, 0x60, 0, 0x100000, 0x20, 0x3000, 7, 0x1000].forEach((value, index) => view.setUint32(52 + 4 * index, value, true));
  [0x1badb002, 0, -0x1badb002].forEach((value, index) => view.setUint32(0x60 + 4 * index, value, true));
  file[0x6c] = 0xf4;
  change(view);
  return file;
}
function failure(file: Uint8Array, ram = 16 * MiB): ImageError {
  try {
    readImage(file, ram);
  } catch (error) {
    if (error instanceof ImageError) return error;
    throw error;
  }
  throw new Error('the image was accepted');
}

describe('an image', () => {
  it('is read from its program headers', () => {
    const image = readImage(bench64, 192 * MiB);
    expect(image.segments[0]!.guestPhysical).toBe(0x100000);
    expect(image.entry).toBeGreaterThanOrEqual(0x100000);
    expect(image.segments.some(({ bytes, memorySize }) => memorySize > bytes.length)).toBe(true);
  });
  it('starts in flat protected mode with EBX at the information', () => {
    const vm = createFakeVm(32 * MiB);
    vm.ram.fill(0xcc, 0x100000, 0x200000);
    const board = createBoard(vm, { cpuCount: 1, quantum: 1000, onOutput: () => undefined });
    board.loadImage(tinyImage(), 'tiny.elf one two', Uint8Array.of(1, 2, 3));
    const regs = vm.vcpus[0]!.getRegs(), sregs = vm.vcpus[0]!.getSregs();
    expect(regs).toMatchObject({ rip: 0x10000cn, rax: 0x2badb002n, rflags: 2n });
    expect(sregs.cs).toMatchObject({ base: 0n, limit: 0xffffffff, type: 11, db: 1, l: 0 });
    expect(sregs).toMatchObject({ cr0: 0x11n, efer: 0n });
    expect([vm.ram[0x10000c], vm.ram[0x100020], vm.ram[0x102fff], vm.ram[0x103000]]).toEqual([0xf4, 0, 0, 1]);

    const info = Number(regs.rbx), view = new DataView(vm.ram.buffer);
    const word = (offset: number): number => view.getUint32(info + offset, true);
    const text = (at: number): string => new TextDecoder().decode(vm.ram.subarray(at, vm.ram.indexOf(0, at)));
    expect(word(0)).toBe(0x24d);
    expect(word(8)).toBe(31 * 1024);
    expect(text(word(16))).toBe('tiny.elf one two');
    expect(text(word(64))).toBe('retrovisor');
    expect(word(20)).toBe(1);
    const module = word(24);
    expect([...vm.ram.subarray(view.getUint32(module, true), view.getUint32(module + 4, true))]).toEqual([1, 2, 3]);
    expect(view.getUint32(module, true)).toBe(0x103000);
    const entries = Array.from({ length: word(44) / 24 }, (_, index) => word(48) + 24 * index)
      .map((at) => [view.getUint32(at, true), view.getBigUint64(at + 4, true), view.getBigUint64(at + 12, true), view.getUint32(at + 20, true)]);
    expect(entries).toEqual([[20, 0n, 0x9e000n, 1], [20, 0x100000n, BigInt(31 * MiB), 1]]);
  });
  it('keeps the information away from an image that needs the low memory', () => {
    const image = { entry: 0x9e000, segments: [{ guestPhysical: 0x8000, bytes: new Uint8Array(0), memorySize: 0x97000 }] };
    expect(bootInformation(image, '', undefined, 4 * MiB, 0).infoAt).toBe(0x100000);
    const long = bootInformation({ entry: 0x8000, segments: [{ guestPhysical: 0x8000, bytes: new Uint8Array(0), memorySize: 0x100 }] }, 'x'.repeat(20_000), undefined, 4 * MiB, 0);
    expect(long.infoAt).toBe(0x100000);
  });
});

describe('an image that cannot be loaded', () => {
  it.each<[string, ImageError['code'], (view: DataView) => void]>([
    ['is no ELF', 'not-elf', (view) => view.setUint8(0, 0)],
    ['is an ELF64', 'not-elf32', (view) => view.setUint8(4, 2)],
    ['is for another processor', 'not-i386', (view) => view.setUint16(18, 62, true)],
    ['is an object file', 'not-executable', (view) => view.setUint16(16, 1, true)],
    ['has no multiboot header', 'no-multiboot', (view) => view.setUint32(0x60, 0, true)],
    ['has a wrong multiboot checksum', 'no-multiboot', (view) => view.setUint32(0x68, 0, true)],
    ['asks for the unknown', 'unsupported', (view) => { view.setUint32(0x64, 0x8000, true); view.setUint32(0x68, -0x1badb002 - 0x8000, true); }],
    ['needs too much memory', 'too-big', (view) => view.setUint32(52 + 20, 0xfff00000, true)],
    ['lies in the video window', 'unsupported', (view) => view.setUint32(52 + 12, 0xb0000, true)],
    ['lies at the top of the address space', 'too-big', (view) => view.setUint32(52 + 12, 0xfffff000, true)],
    ['has a segment outside the file', 'malformed', (view) => view.setUint32(52 + 4, 0xfffffff0, true)],
    ['has more in the file than in memory', 'malformed', (view) => view.setUint32(52 + 20, 1, true)],
    ['has headers outside the file', 'malformed', (view) => view.setUint32(28, 0xffffffff, true)],
    ['has too many headers', 'malformed', (view) => view.setUint16(44, 0xffff, true)],
    ['has nothing to load', 'malformed', (view) => view.setUint32(52, 0, true)],
    ['starts nowhere', 'malformed', (view) => view.setUint32(24, 0x200000, true)],
  ])('is refused when it %s', (_, code, change) => {
    const error = failure(tinyImage(change));
    expect(error.code).toBe(code);
    expect(error.advice).not.toBe('');
  });
  it('says so for nothing at all, and for every cut', () => {
    for (let length = 0; length < 0x80; length++) expect(failure(tinyImage().slice(0, length))).toBeInstanceOf(ImageError);
  });
  it('says so when the module does not fit', () => {
    const image = readImage(tinyImage(), 2 * MiB);
    expect(() => bootInformation(image, '', new Uint8Array(2 * MiB), 2 * MiB, 0)).toThrow(ImageError);
  });
});

it('no mutation of an image does anything but load or fail', () => {
  let seed = 20261121;
  const random = (): number => {
    seed = Math.imul(seed ^ (seed >>> 15), 0x2c1b3c6d) + 0x9e3779b9 | 0;
    return (seed ^ (seed >>> 13)) >>> 0;
  };
  const interesting = [0, 1, 0x7f, 0x80, 0xff];
  let loaded = 0;
  for (let round = 0; round < 30_000; round++) {
    const file = round % 3 === 0 ? bench64.slice(0, 0x2000 + random() % 0x2000) : tinyImage();
    for (let change = random() % 6; change >= 0; change--) {
      const at = random() % Math.min(file.length, 0x90);
      file[at] = random() % 2 ? interesting[random() % 5]! : random() & 255;
    }
    try {
      const image = readImage(file, 16 * MiB);
      bootInformation(image, 'x', undefined, 16 * MiB, 0);
      expect(image.segments.every(({ guestPhysical, memorySize }) => guestPhysical + memorySize <= 16 * MiB)).toBe(true);
      loaded++;
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
    }
  }
  expect(loaded).toBeGreaterThan(1000);
});
