// What is at a position: registers, the next instructions, memory.
import type { Regs, Sregs } from '../kvm/api.ts';
import type { Standing } from '../replay/seek.ts';
import { UserError } from '../host/errors.ts';
import { UsageError } from './arguments.ts';
import { disassemble, type Line } from './disassemble.ts';
import { grouped, hex, list } from './text.ts';

/** A place that the user asks for. */
export interface Place { readonly physical: boolean; readonly address: bigint; readonly length: number }

export interface Inspection {
  readonly position: string;
  readonly instructions: number;
  readonly vcpu: number;
  readonly digest: string;
  readonly regs?: Regs;
  readonly sregs?: Sregs;
  readonly next?: readonly Line[];
  readonly memory: readonly { readonly place: Place; readonly bytes: Uint8Array }[];
}

const LENGTH = 64, MAX_LENGTH = 1 << 20;

/** `0x1000:64,p0x7000`. */
export function parsePlaces(text: string | undefined): Place[] {
  return (text === undefined ? [] : text.split(',')).map((word) => {
    const match = /^(p?)(0x[0-9a-f]{1,16}|\d{1,20})(?::(0x[0-9a-f]+|\d+))?$/i.exec(word);
    const length = Number(match?.[3] ?? LENGTH);
    if (!match || length < 1 || length > MAX_LENGTH) throw new UsageError(`“${word}” is not a place in memory.`, `Write ADDRESS or ADDRESS:LENGTH, for example 0x100000:64, with at most ${MAX_LENGTH} bytes.`);
    return { physical: match[1] !== '', address: BigInt.asUintN(64, BigInt(match[2]!)), length };
  });
}

type Machine = Standing['machine'];

/** Up to `length` bytes from a linear address on: as many as are mapped. */
function readLinear({ vm }: Machine, vcpu: number, linear: bigint, length: number): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let done = 0; done < length;) {
    const address = BigInt.asUintN(64, linear + BigInt(done)), part = Math.min(length - done, 4096 - Number(address & 0xfffn));
    const physical = vm.vcpus[vcpu]!.translate(address);
    const bytes = physical === undefined ? undefined : readPhysical(vm, physical, part);
    if (!bytes) break;
    parts.push(bytes);
    done += part;
  }
  return Buffer.concat(parts);
}

/** Undefined where there is no RAM. */
function readPhysical(vm: Machine['vm'], address: number, length: number): Uint8Array | undefined {
  try {
    return vm.readMemory(address, length);
  } catch (error) {
    if ((error as { code?: string }).code === 'EFAULT') return undefined;
    throw error;
  }
}

function readPlace(machine: Machine, vcpu: number, place: Place): { place: Place; bytes: Uint8Array } {
  const bytes = place.physical ? readPhysical(machine.vm, Number(place.address), place.length) : readLinear(machine, vcpu, place.address, place.length);
  if (!bytes || bytes.length === 0) {
    throw new UserError('EFAULT', `Nothing is at ${place.physical ? 'physical' : 'linear'} address 0x${hex(place.address)} here.`, place.physical ? 'Stay within the guest’s memory.' : 'A physical address is written with a p: p0x1000.');
  }
  return { place, bytes };
}

const INSTRUCTIONS = 8, LONGEST = 15;

function nextInstructions(machine: Machine, vcpu: number, regs: Regs, sregs: Sregs): Promise<Line[]> {
  const bits = sregs.cs.l !== 0 ? 64 : sregs.cs.db !== 0 ? 32 : 16;
  const bytes = readLinear(machine, vcpu, BigInt.asUintN(bits === 64 ? 64 : 32, sregs.cs.base + regs.rip), INSTRUCTIONS * LONGEST);
  return disassemble(bytes, bits, regs.rip, INSTRUCTIONS);
}

/** The active vCPU of a machine that stands somewhere, and what the user asked for. */
export async function inspect({ machine, position }: Standing, places: readonly Place[], show: boolean): Promise<Inspection> {
  const vcpu = machine.board.saveState().turn.vcpu, active = machine.vm.vcpus[vcpu]!;
  const common = {
    position: `${position.seq}:${position.icount}`, instructions: machine.icount(), vcpu, digest: active.digest(),
    memory: places.map((place) => readPlace(machine, vcpu, place)),
  };
  if (!show) return common;
  const regs = active.getRegs(), sregs = active.getSregs();
  return { ...common, regs, sregs, next: await nextInstructions(machine, vcpu, regs, sregs) };
}

const flagNames: readonly (readonly [string, number])[] = [
  ['CF', 0], ['PF', 2], ['AF', 4], ['ZF', 6], ['SF', 7], ['TF', 8], ['IF', 9], ['DF', 10], ['OF', 11], ['NT', 14], ['RF', 16], ['VM', 17], ['AC', 18], ['VIF', 19], ['VIP', 20], ['ID', 21],
];
const flagsText = (rflags: bigint): string => [...flagNames.filter(([, bit]) => rflags >> BigInt(bit) & 1n).map(([name]) => name), `IOPL=${rflags >> 12n & 3n}`].join(' ');

/** Four values in a line, as debuggers have them. */
function grid(values: readonly (readonly [name: string, value: bigint])[]): string {
  const cells = values.map(([name, value]) => `${name.padEnd(4)} ${hex(value, 16)}`);
  return Array.from({ length: Math.ceil(cells.length / 4) }, (_, row) => `${cells.slice(row * 4, row * 4 + 4).join('   ')}\n`).join('');
}

function registersText(regs: Regs, sregs: Sregs): string {
  const names = ['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rbp', 'rsp', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15', 'rip'] as const;
  const segments = (['cs', 'ss', 'ds', 'es', 'fs', 'gs', 'tr', 'ldt'] as const).map((name) => {
    const { selector, base, limit, type, dpl, present, s, l, db, g } = sregs[name];
    return `${name.padEnd(4)} ${hex(selector, 4)}  base ${hex(base, 16)}  limit ${hex(limit, 8)}  type ${hex(type)} ${s ? 'code/data' : 'system'} DPL ${dpl}${present ? '' : ' absent'}${l ? ' 64-bit' : db ? ' 32-bit' : ''}${g ? ' pages' : ''}\n`;
  });
  return grid(names.map((name) => [name, regs[name]])) + `rflags ${hex(regs.rflags, 8)}  ${flagsText(regs.rflags)}\n`
    + grid([['cr0', sregs.cr0], ['cr2', sregs.cr2], ['cr3', sregs.cr3], ['cr4', sregs.cr4], ['cr8', sregs.cr8], ['efer', sregs.efer]])
    + `gdt    ${hex(sregs.gdt.base, 16)} limit ${hex(sregs.gdt.limit, 4)}   idt ${hex(sregs.idt.base, 16)} limit ${hex(sregs.idt.limit, 4)}\n${segments.join('')}`;
}

/** Sixteen bytes in a line, and as letters. */
function dump({ place, bytes }: Inspection['memory'][number]): string {
  return Array.from({ length: Math.ceil(bytes.length / 16) }, (_, row) => {
    const part = bytes.subarray(row * 16, row * 16 + 16);
    const letters = Array.from(part, (byte) => byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.').join('');
    return `${place.physical ? 'p' : ' '}${hex(place.address + BigInt(row * 16), 16)}  ${Array.from(part, (byte) => hex(byte, 2)).join(' ').padEnd(47)}  ${letters}\n`;
  }).join('');
}

export function showInspection({ position, instructions, vcpu, digest, regs, sregs, next, memory }: Inspection): string {
  let text = list([['position', position], ['instructions', grouped(instructions)], ['vCPU', `${vcpu}, digest ${digest}`]]);
  if (regs && sregs) text += `\n${registersText(regs, sregs)}`;
  if (next) text += `\n${next.map(({ address, bytes, text: line }) => `${hex(address, 16)}  ${Array.from(bytes, (byte) => hex(byte, 2)).join('').padEnd(22)}  ${line}\n`).join('')}`;
  return text + memory.map((each) => `\n${dump(each)}`).join('');
}
