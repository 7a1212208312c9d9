// A machine for tests: linear memory is RAM, except for pages that are taken away. The vCPU file, the tables and the capability door
// are real; guests are a few bytes, decoded by the real decoder.
import { bindCpu, placeOf, RAM, resetCpu, Attribute } from '../../src/cpu/state.ts';
import type { Cpu } from '../../src/cpu/state.ts';
import { codeSizeOf, CR0, CR4, EFER } from '../../src/cpu/controls.ts';
import { Done } from '../../src/cpu/engine.ts';
import { decode } from '../../src/isa/decode.ts';
import { createCapabilities } from '../../src/model/capabilities.ts';
import { executeSystem } from '../../src/system/index.ts';
import { GuestFault } from '../../src/system/machine.ts';
import type { Machine } from '../../src/system/machine.ts';

export const RAM_BYTES = 0x100000;
export interface TestMachine extends Machine {
  /** Pages without translation. */
  readonly missing: Set<number>;
  readonly ports: Map<number, number>;
  readonly outputs: { port: number; size: number; value: number }[];
  readonly flushes: string[];
  at(address: number, ...bytes: number[]): void;
  word(address: number): number;
  dword(address: number): number;
  qword(address: number): bigint;
}

const buffer = new ArrayBuffer(RAM + RAM_BYTES);

/** `extra` are features that no model offers yet. */
export function createMachine(model = 'EPYC-Milan', fast = true, extra: readonly string[] = []): TestMachine {
  new Uint8Array(buffer, RAM).fill(0);
  const cpu = bindCpu(buffer);
  resetCpu(cpu);
  const { view } = cpu;
  const missing = new Set<number>(), ports = new Map<number, number>();
  const outputs: TestMachine['outputs'] = [], flushes: string[] = [];
  const door = createCapabilities(model);
  let random = 0x0123456789abcdefn;
  const host = (linear: bigint, length: number, write: boolean, supervisor = false): number => {
    const address = Number(linear);
    for (const page of [address >>> 12, (address + length - 1) >>> 12]) {
      if (missing.has(page) || page >= RAM_BYTES >> 12) {
        throw new GuestFault(14, (write ? 2 : 0) | (cpu.cpl === 3 && !supervisor ? 4 : 0), page === address >>> 12 ? linear : BigInt(page << 12));
      }
    }
    return RAM + address;
  };
  const hostOf = (low: number, high: number, length: number): number =>
    high !== 0 || low + length > RAM_BYTES || (low & 0xfff) + length > 0x1000 || missing.has(low >>> 12) ? 0 : RAM + low;
  const machine: TestMachine = {
    cpu, missing, ports, outputs, flushes,
    capability: extra.length === 0 ? door : Object.assign(Object.create(door) as typeof door, { has: (feature: string) => extra.includes(feature) || door.has(feature) }),
    memory: {
      read8: (linear, supervisor) => view.getUint8(host(linear, 1, false, supervisor)),
      read16: (linear, supervisor) => view.getUint16(host(linear, 2, false, supervisor), true),
      read32: (linear, supervisor) => view.getUint32(host(linear, 4, false, supervisor), true),
      read64: (linear, supervisor) => view.getBigUint64(host(linear, 8, false, supervisor), true),
      write8: (linear, value, supervisor) => view.setUint8(host(linear, 1, true, supervisor), value),
      write16: (linear, value, supervisor) => view.setUint16(host(linear, 2, true, supervisor), value, true),
      write32: (linear, value, supervisor) => view.setUint32(host(linear, 4, true, supervisor), value, true),
      write64: (linear, value, supervisor) => view.setBigUint64(host(linear, 8, true, supervisor), value, true),
      probeWrite: (linear, length, supervisor) => { host(linear, length, true, supervisor); },
      readPhysical32: (physical) => view.getUint32(RAM + physical, true),
      readPhysical64: (physical) => view.getBigUint64(RAM + physical, true),
      writePhysical32: (physical, value) => view.setUint32(RAM + physical, value, true),
      writePhysical64: (physical, value) => view.setBigUint64(RAM + physical, value, true),
      ...(fast ? { hostOfRead: hostOf, hostOfWrite: hostOf } : {}),
    },
    tsc: () => cpu.icount + cpu.tscOffset & 0xffffffffffffffffn,
    random: () => random = BigInt.asUintN(64, random * 6364136223846793005n + 1442695040888963407n),
    portIn: (port) => ports.get(port) ?? 0xffffffff,
    portOut: (port, size, value) => { outputs.push({ port, size, value }); },
    flushTlb: (global) => { flushes.push(global ? 'all' : 'non-global'); },
    flushPage: (linear) => { flushes.push(`page ${linear.toString(16)}`); },
    debugRegistersChanged: () => { flushes.push('debug'); },
    at: (address, ...bytes) => { cpu.u8.set(bytes, RAM + address); },
    word: (address) => view.getUint16(RAM + address, true),
    dword: (address) => view.getUint32(RAM + address, true),
    qword: (address) => view.getBigUint64(RAM + address, true),
  };
  return machine;
}

// ── Descriptors ──

export const GDT = 0x1000, IDT = 0x2000, TSS = 0x3000, LDT = 0x3800, TSS2 = 0x4000, CODE = 0x8000, STACK0 = 0x20000, STACK3 = 0x30000;

export function putDescriptor(machine: TestMachine, table: number, selector: number, base: number, limit: number, access: number, high = 0): void {
  const at = RAM + table + (selector & ~7), { view } = machine.cpu;
  view.setUint32(at, (base << 16 | limit & 0xffff) >>> 0, true);
  view.setUint32(at + 4, (base & 0xff000000 | base >>> 16 & 0xff | limit & 0xf0000 | access << 8 | high << 20) >>> 0, true);
}
export function putGate(machine: TestMachine, vector: number, selector: number, offset: number, access: number, long: boolean, ist = 0): void {
  const at = RAM + IDT + vector * (long ? 16 : 8), { view } = machine.cpu;
  view.setUint32(at, (selector << 16 | offset & 0xffff) >>> 0, true);
  view.setUint32(at + 4, (offset & 0xffff0000 | access << 8 | ist) >>> 0, true);
}

/** Selectors of the table below. */
export const Sel = { code64: 0x08, data: 0x10, code32: 0x18, user32: 0x23, userData: 0x2b, user64: 0x33, task: 0x40, conforming: 0x50, ldt: 0x58, code16: 0x60, task2: 0x68, gate: 0x70 } as const;

function tables(machine: TestMachine): void {
  putDescriptor(machine, GDT, 0x08, 0, 0xfffff, 0x9b, 0xa);
  putDescriptor(machine, GDT, 0x10, 0, 0xfffff, 0x93, 0xc);
  putDescriptor(machine, GDT, 0x18, 0, 0xfffff, 0x9b, 0xc);
  putDescriptor(machine, GDT, 0x20, 0, 0xfffff, 0xfb, 0xc);
  putDescriptor(machine, GDT, 0x28, 0, 0xfffff, 0xf3, 0xc);
  putDescriptor(machine, GDT, 0x30, 0, 0xfffff, 0xfb, 0xa);
  putDescriptor(machine, GDT, 0x40, TSS, 0x1fff, 0x8b);
  putDescriptor(machine, GDT, 0x50, 0, 0xfffff, 0x9f, 0xc);
  putDescriptor(machine, GDT, 0x60, 0, 0xffff, 0x9b, 0);
  putDescriptor(machine, GDT, 0x68, TSS2, 0x67, 0x89);
  const { cpu } = machine;
  cpu.gdtrBase = BigInt(GDT);
  cpu.gdtrLimit = 0x7f;
  cpu.idtrBase = BigInt(IDT);
  cpu.tr.selector = 0x40;
  cpu.tr.base = BigInt(TSS);
  cpu.tr.limit = 0x1fff;
  cpu.tr.attributes = 0x8b;
  cpu.ldtr.attributes = Attribute.unusable;
}

export function flat(cpu: Cpu, segment: number, selector: number, attributes: number): void {
  Object.assign(cpu.segment[segment]!, { selector, base: 0n, limit: 0xffffffff, attributes });
}

/** 64-bit mode with paging at `cpl`: code at CODE, stack below STACK0 or STACK3, IST1 at 0x28000, RSP0 at STACK0. */
export function longMode(machine: TestMachine, cpl = 0): TestMachine {
  const { cpu } = machine;
  tables(machine);
  cpu.idtrLimit = 0xfff;
  cpu.cr0 = (CR0.PE | CR0.PG | CR0.ET | CR0.WP) >>> 0;
  cpu.cr4 = BigInt(CR4.PAE);
  cpu.efer = BigInt(EFER.LME | EFER.LMA | EFER.SCE);
  cpu.cpl = cpl;
  if (cpl === 0) {
    flat(cpu, 1, 0x08, 0xa9b);
    flat(cpu, 2, 0x10, 0xc93);
  } else {
    flat(cpu, 1, 0x33, 0xafb);
    flat(cpu, 2, 0x2b, 0xcf3);
  }
  for (const segment of [0, 3, 4, 5]) flat(cpu, segment, 0x2b, 0xcf3);
  cpu.view.setBigUint64(RAM + TSS + 4, BigInt(STACK0), true);
  cpu.view.setBigUint64(RAM + TSS + 0x24, 0x28000n, true);
  cpu.rsp = BigInt(cpl === 0 ? STACK0 - 0x100 : STACK3);
  cpu.rip = BigInt(CODE);
  return machine;
}

/** Legacy protected mode, 32 bits. */
export function protectedMode(machine: TestMachine, cpl = 0): TestMachine {
  const { cpu } = machine;
  tables(machine);
  cpu.idtrLimit = 0x7ff;
  cpu.cr0 = (CR0.PE | CR0.ET) >>> 0;
  cpu.cpl = cpl;
  flat(cpu, 1, cpl === 0 ? 0x18 : 0x23, cpl === 0 ? 0xc9b : 0xcfb);
  flat(cpu, 2, cpl === 0 ? 0x10 : 0x2b, cpl === 0 ? 0xc93 : 0xcf3);
  for (const segment of [0, 3, 4, 5]) flat(cpu, segment, 0x2b, 0xcf3);
  cpu.view.setUint32(RAM + TSS + 4, STACK0, true);
  cpu.view.setUint16(RAM + TSS + 8, 0x10, true);
  cpu.rsp = BigInt(cpl === 0 ? STACK0 - 0x100 : STACK3);
  cpu.rip = BigInt(CODE);
  return machine;
}

export function realMode(machine: TestMachine): TestMachine {
  const { cpu } = machine;
  cpu.cs.selector = 0x800;
  cpu.cs.base = 0x8000n;
  cpu.ss.selector = 0x2000;
  cpu.ss.base = 0x20000n;
  cpu.rsp = 0x1000n;
  cpu.rip = 0n;
  return machine;
}

/** Virtual-8086 mode over `protectedMode`: CS 0800, SS 3000. */
export function virtual8086(machine: TestMachine, iopl: number): TestMachine {
  protectedMode(machine, 3);
  const { cpu } = machine;
  cpu.rflagsSystem = 0x20202 | iopl << 12;
  [0x1111, 0x800, 0x3000, 0x2222, 0x3333, 0x4444].forEach((selector, index) => {
    Object.assign(cpu.segment[index]!, { selector, base: BigInt(selector << 4), limit: 0xffff, attributes: 0xf3 });
  });
  cpu.rsp = 0x1000n;
  cpu.rip = 0n;
  return machine;
}

/** Puts bytes at CS:RIP and does that one instruction. */
export function run(machine: TestMachine, ...bytes: number[]): Done {
  const { cpu } = machine;
  const linear = Number(BigInt.asUintN(32, (codeSizeOf(cpu) === 64 ? 0n : cpu.cs.base) + cpu.rip));
  machine.at(linear, ...bytes);
  const instruction = decode(cpu.u8, RAM + linear, RAM + linear + 15, codeSizeOf(cpu), (feature) => machine.capability.has(feature));
  if (!('operands' in instruction)) throw new Error(`the bytes are not an instruction: ${instruction.why}`);
  cpu.nextRip = BigInt.asUintN(codeSizeOf(cpu), cpu.rip + BigInt(instruction.length));
  return executeSystem(machine, instruction);
}

const stateEnd = placeOf('slowLinear');
/** The fault that an instruction raises; asserts that nothing of the vCPU's state changed. */
export function faultOf(machine: TestMachine, ...bytes: number[]): { vector: number; errorCode: number; address: bigint } {
  const { cpu } = machine;
  const before = cpu.u8.slice(0x1000, stateEnd);
  try {
    run(machine, ...bytes);
  } catch (fault) {
    if (!(fault instanceof GuestFault)) throw fault;
    const after = cpu.u8.slice(0x1000, stateEnd);
    if (Buffer.compare(before, after) !== 0) throw new Error(`#${fault.vector} has changed the vCPU`);
    return { vector: fault.vector, errorCode: fault.errorCode, address: fault.address };
  }
  throw new Error('no fault');
}

export const fault = (vector: number, errorCode = 0, address = 0n): { vector: number; errorCode: number; address: bigint } => ({ vector, errorCode, address });
export { Done };
