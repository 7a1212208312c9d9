// The first 512 bytes of every save area: x87, MXCSR and XMM as FXSAVE lays them out, copied between the vCPU file and an image of the area.
// FXSAVE and XSAVE share it (`vector.ts`, `xsave.ts`); it neither touches guest memory nor decides what takes part. APM Vol. 2, 11.4.4 and 11.5.3.
import { cr4Of, CR4, EFER, is64Bit } from '../cpu/controls.ts';
import { FSW_ES, MXCSR_MM, placeOfArea, placeOfRegister, type Cpu } from '../cpu/state.ts';
import type { Machine } from './machine.ts';
import { generalProtection } from './operand.ts';
import { setControlWord, summarise, topOf } from './x87-state.ts';

export const MXCSR_INITIAL = 0x1f80;
/** Bits of MXCSR that exist: MM has a feature of its own. */
const maskOfMxcsr = ({ capability }: Machine): number => capability.has('misalignsse') ? 0xffff | MXCSR_MM : 0xffff;

const X87 = 32, X87_END = 160, XMM = 160;
/** XMM registers that an instruction reaches: eight outside 64-bit mode. */
export const vectorCount = (cpu: Cpu): number => is64Bit(cpu) ? 16 : 8;
/** Those that FXSAVE and FXRSTOR reach: none without CR4.OSFXSR. */
export const fxVectorCount = (cpu: Cpu): number => (cr4Of(cpu) & CR4.OSFXSR) === 0 ? 0 : vectorCount(cpu);
/** EFER.FFXSR: a 64-bit kernel does without the XMM registers, but not without MXCSR (APM Vol. 2, 3.1.7). */
export const isFast = (cpu: Cpu): boolean => (cpu.efer & BigInt(EFER.FFXSR)) !== 0n && cpu.cpl === 0 && is64Bit(cpu);

/** A part of the area: from, to. */
export type Range = readonly [from: number, to: number];
export const x87Ranges: readonly Range[] = [[0, 24], [X87, X87_END]];
export const mxcsrRange: Range = [24, 32];
export const vectorRange = (count: number): Range => [XMM, XMM + 16 * count];

/** The image of an area, in bytes and as a view. */
export interface Image { readonly bytes: Uint8Array; readonly view: DataView }
export const imageOf = (length: number): Image => {
  const bytes = new Uint8Array(length);
  return { bytes, view: new DataView(bytes.buffer) };
};

/** AMD processors without xsaveerptr save and restore the x87 pointers only while an exception is pending (APM Vol. 2, 11.4.4). */
const takesPointers = ({ capability }: Machine, status: number): boolean =>
  (status & FSW_ES) !== 0 || (capability.vendor !== 'AuthenticAMD' && capability.vendor !== 'HygonGenuine') || capability.has('xsaveerptr');

/** `wide` (REX.W): the x87 pointers are 64 bits wide; else they are offset and selector. `area` is where the image goes. */
export function putX87(machine: Machine, area: bigint, image: Image, wide: boolean): void {
  const { cpu } = machine, { bytes, view } = image;
  const withPointers = takesPointers(machine, cpu.fsw);
  if (!withPointers) loadRange(machine, area, image, x87Ranges[0]!);
  view.setUint16(0, cpu.fcw, true);
  view.setUint16(2, cpu.fsw, true);
  view.setUint16(4, cpu.ftw, true);
  if (withPointers) {
    view.setUint16(6, cpu.fop, true);
    view.setBigUint64(8, wide ? cpu.fip : cpu.fip & 0xffffffffn | BigInt(cpu.fcs) << 32n, true);
    view.setBigUint64(16, wide ? cpu.fdp : cpu.fdp & 0xffffffffn | BigInt(cpu.fds) << 32n, true);
  }
  for (let register = 0; register < 8; register++) {
    const place = placeOfArea('x87') + 16 * (topOf(cpu) + register & 7), at = X87 + 16 * register;
    bytes.set(cpu.u8.subarray(place, place + 10), at);
    bytes.fill(0, at + 10, at + 16);
  }
}

export function takeX87(machine: Machine, { bytes, view }: Image, wide: boolean): void {
  const { cpu } = machine;
  setControlWord(cpu, view.getUint16(0, true));
  cpu.fsw = view.getUint16(2, true);
  summarise(cpu);
  cpu.ftw = bytes[4]!;
  if (takesPointers(machine, cpu.fsw)) {
    cpu.fop = view.getUint16(6, true) & 0x7ff;
    cpu.fip = wide ? view.getBigUint64(8, true) : BigInt(view.getUint32(8, true));
    cpu.fcs = wide ? 0 : view.getUint16(12, true);
    cpu.fdp = wide ? view.getBigUint64(16, true) : BigInt(view.getUint32(16, true));
    cpu.fds = wide ? 0 : view.getUint16(20, true);
  }
  for (let register = 0; register < 8; register++) {
    const place = placeOfArea('x87') + 16 * (topOf(cpu) + register & 7), at = X87 + 16 * register;
    cpu.u8.set(bytes.subarray(at, at + 10), place);
    cpu.u8.fill(0, place + 10, place + 16);
  }
}

/** FNINIT's state, with empty registers that are 0 (SDM Vol. 1, 13.6). */
export function initialX87(cpu: Cpu): void {
  Object.assign(cpu, { fcw: 0x37f, fsw: 0, ftw: 0, fop: 0, fip: 0n, fdp: 0n, fcs: 0, fds: 0 });
  cpu.u8.fill(0, placeOfArea('x87'), placeOfArea('x87') + 128);
}
export const isX87Initial = (cpu: Cpu): boolean =>
  cpu.fcw === 0x37f && (cpu.fsw | cpu.ftw | cpu.fop | cpu.fcs | cpu.fds) === 0 && cpu.fip === 0n && cpu.fdp === 0n && isZero(cpu, placeOfArea('x87'), 128);

export function putMxcsr(machine: Machine, { view }: Image): void {
  view.setUint32(24, machine.cpu.mxcsr, true);
  view.setUint32(28, maskOfMxcsr(machine), true);
}
/** The value to load; #GP(0) for bits that do not exist. */
export const mxcsrOf = (machine: Machine, { view }: Image): number => checkMxcsr(machine, view.getUint32(24, true));
export function checkMxcsr(machine: Machine, value: number): number {
  if ((value & ~maskOfMxcsr(machine)) !== 0) throw generalProtection();
  return value;
}

export function putVectors(cpu: Cpu, { bytes }: Image, count: number): void {
  for (let register = 0; register < count; register++) {
    const place = placeOfRegister('vector', register);
    bytes.set(cpu.u8.subarray(place, place + 16), XMM + 16 * register);
  }
}
export function takeVectors(cpu: Cpu, { bytes }: Image, count: number): void {
  for (let register = 0; register < count; register++) cpu.u8.set(bytes.subarray(XMM + 16 * register, XMM + 16 * register + 16), placeOfRegister('vector', register));
}

/** Whether `length` bytes of the vCPU file, a multiple of 4, are zero. */
export function isZero(cpu: Cpu, place: number, length: number): boolean {
  for (let at = place >> 2; at < place + length >> 2; at++) if (cpu.u32[at] !== 0) return false;
  return true;
}

// ── Between an image and guest memory; areas are aligned to 16 bytes, and so is every part ──

export function loadRange(machine: Machine, area: bigint, { bytes, view }: Image, [from, to]: Range): void {
  const { memory, cpu } = machine;
  for (let at = from; at < to;) {
    const linear = area + BigInt(at), rest = Math.min(to - at, 0x1000 - Number(linear & 0xfffn));
    const host = memory.hostOfRead?.(Number(linear & 0xffffffffn), Number(linear >> 32n), rest, false) ?? 0;
    if (host === 0) {
      view.setBigUint64(at, memory.read64(linear), true);
      at += 8;
    } else {
      bytes.set(cpu.u8.subarray(host, host + rest), at);
      at += rest;
    }
  }
}

/** Stores all parts, after each has been asked for: from the last one down, as processors do. */
export function storeRanges(machine: Machine, area: bigint, { bytes, view }: Image, ranges: readonly Range[]): void {
  const { memory, cpu } = machine;
  for (const [from, to] of [...ranges].reverse()) {
    memory.probeWrite(area + BigInt(to - 8), 8);
    for (let page = to - 8 - Number(area + BigInt(to - 8) & 0xfffn); page > from; page -= 0x1000) memory.probeWrite(area + BigInt(page - 8), 8);
    memory.probeWrite(area + BigInt(from), 8);
  }
  for (const [from, to] of ranges) {
    for (let at = from; at < to;) {
      const linear = area + BigInt(at), rest = Math.min(to - at, 0x1000 - Number(linear & 0xfffn));
      const host = memory.hostOfWrite?.(Number(linear & 0xffffffffn), Number(linear >> 32n), rest, false) ?? 0;
      if (host === 0) {
        memory.write64(linear, view.getBigUint64(at, true));
        at += 8;
      } else {
        cpu.u8.set(bytes.subarray(at, at + rest), host);
        at += rest;
      }
    }
  }
}
