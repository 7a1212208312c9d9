// The names of registers, and the register operands that every decoded instruction shares. Called by `decode.ts` for operands
// and by whoever prints one. It must not know what a register holds.
import { segmentNames, type RegisterFile, type RegisterOperand } from './instruction.ts';

const numbered = (prefix: string, count: number, suffix = ''): string[] =>
  Array.from({ length: count }, (_, number) => `${prefix}${number}${suffix}`);
const extended = (suffix: string): string[] => numbered('r', 16, suffix).slice(8);

/** Names of general registers by width; without REX, the encodings 4..7 of 8-bit registers are the high bytes. */
const generalNames: Readonly<Record<number, readonly string[]>> = {
  8: ['al', 'cl', 'dl', 'bl', 'spl', 'bpl', 'sil', 'dil', ...extended('b')],
  16: ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di', ...extended('w')],
  32: ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi', ...extended('d')],
  64: ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', ...extended('')],
};
const highNames = ['ah', 'ch', 'dh', 'bh'];

/** The assembler's name of a register operand: `ah`, `r8d`, `cr4`, `st(1)`, `ymm3`. */
export function registerName(operand: RegisterOperand): string {
  const { file, number, width, high } = operand;
  switch (file) {
    case 'general': return (high ? highNames[number] : generalNames[width]?.[number]) ?? `r${number}/${width}`;
    case 'segment': return segmentNames[number] ?? `sreg${number}`;
    case 'control': return `cr${number}`;
    case 'debug': return `dr${number}`;
    case 'x87': return `st(${number})`;
    case 'mmx': return `mm${number}`;
    case 'vector': return `${width > 256 ? 'zmm' : width > 128 ? 'ymm' : 'xmm'}${number}`;
    case 'mask': return `k${number}`;
    case 'bound': return `bnd${number}`;
  }
}

const operand = (file: RegisterFile, number: number, width: number, high = false): RegisterOperand =>
  Object.freeze({ kind: 'register', file, number, high, width });
const sixteen = (width: number): readonly RegisterOperand[] => Array.from({ length: 16 }, (_, number) => operand('general', number, width));

/** General registers by width and number. */
const general: Readonly<Record<number, readonly RegisterOperand[]>> = { 8: sixteen(8), 16: sixteen(16), 32: sixteen(32), 64: sixteen(64) };
const highBytes = [0, 1, 2, 3].map(number => operand('general', number, 8, true));

/** A general register as encoded; `rex` tells whether a REX prefix (or VEX) turns the high bytes into SPL..DIL. */
export function generalOperand(number: number, width: number, rex: boolean): RegisterOperand {
  if (width === 8 && !rex && number >= 4 && number < 8) return highBytes[number - 4]!;
  return general[width]![number]!;
}

/** A register of any other file. */
export const registerOperand = (file: RegisterFile, number: number, width: number): RegisterOperand =>
  ({ kind: 'register', file, number, high: false, width });
