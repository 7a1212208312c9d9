// Turns the rows of `opcodes/` into flat tables for `decode.ts`: by encoding, opcode map and opcode, then by ModRM.reg and by whether
// ModRM names a register. What remains to be chosen (mandatory prefix, mode, W, feature) is tried in the order of the rows.
import type { Row } from './opcodes/row.ts';
import type { Encoding } from './prefixes.ts';
import { parseOperand, usesRm, type OperandForm } from './operands.ts';
import { amd3d } from './opcodes/amd3d.ts';
import { arithmetic } from './opcodes/arithmetic.ts';
import { avxCrypto } from './opcodes/avx/crypto.ts';
import { avxFloat } from './opcodes/avx/float.ts';
import { avxMove } from './opcodes/avx/move.ts';
import { avxPacked } from './opcodes/avx/packed.ts';
import { fma } from './opcodes/avx/fma.ts';
import { mask } from './opcodes/avx/mask.ts';
import { xop } from './opcodes/avx/xop.ts';
import { avx512Float } from './opcodes/avx512/float.ts';
import { avx512Half } from './opcodes/avx512/half.ts';
import { avx512Integer } from './opcodes/avx512/integer.ts';
import { avx512Move } from './opcodes/avx512/move.ts';
import { bcd } from './opcodes/bcd.ts';
import { bits } from './opcodes/bits.ts';
import { bmi } from './opcodes/bmi.ts';
import { branch } from './opcodes/branch.ts';
import { extensions } from './opcodes/extensions.ts';
import { hints } from './opcodes/hints.ts';
import { io } from './opcodes/io.ts';
import { move } from './opcodes/move.ts';
import { multiply } from './opcodes/multiply.ts';
import { segment } from './opcodes/segment.ts';
import { shift } from './opcodes/shift.ts';
import { crypto } from './opcodes/sse/crypto.ts';
import { float } from './opcodes/sse/float.ts';
import { vectorMove } from './opcodes/sse/move.ts';
import { packed } from './opcodes/sse/packed.ts';
import { stack } from './opcodes/stack.ts';
import { string } from './opcodes/string.ts';
import { system } from './opcodes/system.ts';
import { virtualization } from './opcodes/virtualization.ts';
import { x87 } from './opcodes/x87.ts';

/** All rows. Order matters only between rows of one opcode: the first that fits and whose feature is present wins. */
export const rows: readonly Row[] = [
  ...arithmetic, ...bcd, ...bits, ...bmi, ...branch, ...hints, ...io, ...move, ...multiply, ...segment, ...shift, ...stack, ...string,
  ...system, ...virtualization, ...x87, ...amd3d, ...packed, ...float, ...vectorMove, ...crypto,
  ...avxPacked, ...avxFloat, ...avxMove, ...avxCrypto, ...fma, ...mask, ...xop, ...extensions,
  ...avx512Integer, ...avx512Float, ...avx512Half, ...avx512Move,
];

/** How the mandatory prefix chooses. */
export const Mandatory = { any: 0, none: 1, x66: 2, xF3: 3, xF2: 4, noRepeat: 5 } as const;
/** How the effective operand size comes about in 64-bit mode: 32 by default, 64 by default (16 with 66), always 64; `wide` ignores 66 in every mode. */
export const SizeRule = { plain: 0, default64: 1, always64: 2, wide: 3 } as const;

/** A row, read. */
export interface Form {
  readonly mnemonic: string;
  readonly operands: readonly OperandForm[];
  readonly mandatory: number;
  /** 0: every mode; 64: 64-bit mode only; -64: not there. */
  readonly mode: 0 | 64 | -64;
  /** REX.W or VEX.W: -1 free, else 0 or 1. */
  readonly w: -1 | 0 | 1;
  /** VEX.L or EVEX.L'L: -1 free. */
  readonly vectorLength: number;
  /** ModRM.rm: -1 free. */
  readonly rm: number;
  readonly sizeRule: number;
  readonly lock: boolean;
  readonly string: boolean;
  readonly anyMod: boolean;
  readonly withoutB: boolean;
  readonly without66: boolean;
  readonly conditional: boolean;
  /** An operand stands in VEX.vvvv; else vvvv must be 1111. */
  readonly usesVvvv: boolean;
  /** The CPUID feature it needs, and a second one; '' for none. */
  readonly feature: string;
  readonly secondFeature: string;
  /** The index of the address is a vector register (gathers). */
  readonly vectorIndex: boolean;
  /** What stands in ModRM.rm. */
  readonly rmOperand: OperandForm | undefined;
  readonly evex: EvexForm;
}

/** What the extra bits of EVEX may say. */
export interface EvexForm {
  readonly masking: 'none' | 'merge' | 'zero';
  readonly needsMask: boolean;
  /** Width of a broadcast element in memory, 0 where there is no broadcast. */
  readonly broadcast: number;
  /** The b bit of a register form means something: rounding (`er`), or suppressed exceptions (`sae`). */
  readonly control: '' | 'er' | 'sae';
  /** Width in bits that an 8-bit displacement counts in; 0 for the width of the operand. */
  readonly scale: number;
  /** The destination must be no source. */
  readonly distinct: boolean;
  /** Vector length is part of the identity, so that less than 512 bits need AVX512VL. */
  readonly sized: boolean;
}

export interface Slot {
  readonly modrm: boolean;
  /** Without ModRM one list; with it sixteen, by reg, plus 8 when mod is 11. */
  readonly forms: readonly (readonly Form[])[];
}

/** Opcode maps of the legacy encoding; those of VEX, EVEX and XOP go by the number in the prefix. */
export const LegacyMap = { oneByte: 0, x0F: 1, x0F38: 2, x0F3A: 3, x0F0F: 4 } as const;
const mapNumbers: Readonly<Record<string, number>> = {
  '0F': 1, '0F38': 2, '0F3A': 3, MAP4: 4, MAP5: 5, MAP6: 6, MAP7: 7, X8: 8, X9: 9, XA: 10,
};
const mandatories: Readonly<Record<string, number>> = {
  NP: Mandatory.none, 66: Mandatory.x66, F3: Mandatory.xF3, F2: Mandatory.xF2, NFx: Mandatory.noRepeat,
};
/** A vector length of 256 or 512, whichever EVEX says. */
export const atLeast256 = 12;
const vectorLengths: Readonly<Record<string, number>> = { LZ: 0, L0: 0, 128: 0, L1: 1, 256: 1, 512: 2, '256+': atLeast256 };

interface Place { encoding: Encoding; map: number; opcode: number; span: number; modrm: boolean; reg: number; rm: number; fixedRegister: boolean }
interface Reading extends Place { mandatory: number; w: -1 | 0 | 1; vectorLength: number; conditional: boolean }

/** Reads the opcode column. */
function parseOpcode(notation: string): Reading {
  const tokens = notation.split(' ');
  const reading: Reading = {
    encoding: 'legacy', map: 0, opcode: -1, span: 1, modrm: false, reg: -1, rm: -1, fixedRegister: false,
    mandatory: Mandatory.any, w: -1, vectorLength: -1, conditional: false,
  };
  let index = 0;
  const first = tokens[0]!;
  if (first.includes('EX.') && !first.startsWith('REX') || first.startsWith('XOP.')) {
    parseVectorPrefix(first, reading);
    index++;
  } else {
    for (; tokens[index]! in mandatories || tokens[index] === 'REX.W'; index++) {
      if (tokens[index] === 'REX.W') reading.w = 1;
      else reading.mandatory = mandatories[tokens[index]!]!;
    }
    if (tokens[index] === '0F') {
      index++;
      reading.map = LegacyMap.x0F;
      if (tokens[index] === '38' || tokens[index] === '3A' || tokens[index] === '0F') {
        reading.map = { 38: LegacyMap.x0F38, '3A': LegacyMap.x0F3A, '0F': LegacyMap.x0F0F }[tokens[index]!]!;
        index++;
      }
    }
  }
  const [opcode, run] = tokens[index++]!.split('+') as [string, string | undefined];
  reading.opcode = parseInt(opcode, 16);
  if (run === 'r') reading.span = 8;
  if (run === 'cc') { reading.span = 16; reading.conditional = true; }
  parseModrm(tokens[index], reading);
  return reading;
}

function parseVectorPrefix(text: string, reading: Reading): void {
  const [encoding, ...fields] = text.split('.');
  reading.encoding = encoding!.toLowerCase() as Encoding;
  reading.mandatory = Mandatory.none;
  for (const field of fields) {
    if (field in mandatories) reading.mandatory = mandatories[field]!;
    else if (field in mapNumbers) reading.map = mapNumbers[field]!;
    else if (field in vectorLengths) reading.vectorLength = vectorLengths[field]!;
    else if (field === 'W0' || field === 'W1') reading.w = field === 'W1' ? 1 : 0;
    else if (field !== 'WIG' && field !== 'LIG') throw new Error(`opcode ${text}: unknown field ${field}`);
  }
}

function parseModrm(token: string | undefined, reading: Reading): void {
  if (token === undefined) return;
  reading.modrm = true;
  if (token === '/r') return;
  if (token[0] === '/') { reading.reg = Number(token.slice(1)); return; }
  const [byte, run] = token.split('+') as [string, string | undefined];
  const modrm = parseInt(byte, 16);
  if (!(modrm >= 0xc0 && modrm <= 0xff)) throw new Error(`opcode with ModRM ${token}: unknown`);
  reading.fixedRegister = true;
  reading.reg = (modrm >> 3) & 7;
  if (run !== 'i') reading.rm = modrm & 7;
}

function formOf(row: Row, reading: Reading, notes: readonly string[]): Form {
  const names = row[2] ? row[2].split(',') : [];
  const operands = names.map(parseOperand);
  const features = notes.filter(note => note[0] === '+').map(note => note.slice(1));
  // Operands of size y do not shrink to 16 bits: 66 has no say, unless another operand is of size v (CRC32).
  const wide = names.some(name => name[1] === 'y') && !names.some(name => name[1] === 'v');
  return {
    mnemonic: row[0], operands, mandatory: reading.mandatory, w: reading.w, vectorLength: reading.vectorLength, rm: reading.rm,
    mode: notes.includes('o64') ? 64 : notes.includes('i64') ? -64 : 0,
    sizeRule: notes.includes('d64') ? SizeRule.default64 : notes.includes('f64') ? SizeRule.always64 : wide ? SizeRule.wide : SizeRule.plain,
    lock: notes.includes('lock'), string: notes.includes('string'), anyMod: notes.includes('anymod'), withoutB: notes.includes('nob'),
    without66: notes.includes('no66'),
    conditional: reading.conditional,
    usesVvvv: operands.some(operand => operand.addressing === 'B' || operand.addressing === 'H'
      || (operand.addressing === 'K' && operand.number === 'h'.charCodeAt(0))),
    feature: features[0] ?? '', secondFeature: features[1] ?? '', vectorIndex: notes.includes('vsib'),
    rmOperand: operands.find(usesRm), evex: reading.encoding === 'evex' ? evexForm(notes, operands) : noEvex,
  };
}

const widthNote = (notes: readonly string[], letter: string): number =>
  [8, 16, 32, 64].find(width => notes.includes(`${letter}${width}`)) ?? 0;
const evexForm = (notes: readonly string[], operands: readonly OperandForm[]): EvexForm => ({
  masking: notes.includes('zero') ? 'zero' : notes.includes('mask') ? 'merge' : 'none', needsMask: notes.includes('needmask'),
  broadcast: widthNote(notes, 'b'), control: notes.includes('er') ? 'er' : notes.includes('sae') ? 'sae' : '', scale: widthNote(notes, 'n'),
  distinct: notes.includes('distinct'),
  sized: operands.some(operand => operand.size.vector),
});
const noEvex = evexForm([], []);

const knownNotes = ['i64', 'o64', 'd64', 'f64', 'lock', 'string', 'reg', 'mem', 'anymod', 'nob', 'no66', 'vsib',
  'mask', 'zero', 'needmask', 'distinct', 'b16', 'b32', 'b64', 'er', 'sae', 'n8', 'n16', 'n32', 'n64'];

interface OpenSlot { modrm: boolean; forms: Form[][] }
export type OpcodeTables = Readonly<Record<Encoding, readonly (readonly (Slot | undefined)[] | undefined)[]>>;

function build(): OpcodeTables {
  const tables: Record<Encoding, ((OpenSlot | undefined)[] | undefined)[]> = { legacy: [], vex: [], evex: [], xop: [] };
  for (const row of rows) {
    const reading = parseOpcode(row[1]);
    const notes = row[3] ? row[3].split(' ') : [];
    for (const note of notes) if (note[0] !== '+' && !knownNotes.includes(note)) throw new Error(`${row[0]} ${row[1]}: note '${note}' is unknown`);
    const form = formOf(row, reading, notes);
    const map = tables[reading.encoding][reading.map] ??= new Array<OpenSlot | undefined>(256).fill(undefined);
    for (let opcode = reading.opcode; opcode < reading.opcode + reading.span; opcode++) enter(map, opcode, row, reading, form, notes);
  }
  return tables;
}

function enter(map: (OpenSlot | undefined)[], opcode: number, row: Row, reading: Reading, form: Form, notes: readonly string[]): void {
  const modrm = reading.modrm;
  const slot = map[opcode] ??= { modrm, forms: Array.from({ length: modrm ? 16 : 1 }, () => []) };
  if (slot.modrm !== modrm) throw new Error(`${row[0]} ${row[1]}: rows of one opcode disagree about ModRM`);
  if (!modrm) { slot.forms[0]!.push(form); return; }
  const rm = form.operands.find(usesRm);
  const register = !notes.includes('mem') && (rm?.allowsRegister ?? true);
  const memory = form.anyMod || (!notes.includes('reg') && !reading.fixedRegister && (rm?.allowsMemory ?? true));
  for (let reg = 0; reg < 8; reg++) {
    if (reading.reg >= 0 && reg !== reading.reg) continue;
    if (memory) slot.forms[reg]!.push(form);
    if (register) slot.forms[reg + 8]!.push(form);
  }
}

export const tables: OpcodeTables = build();
