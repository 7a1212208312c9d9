// The rows of `rows.ts` as `decode.ts` looks them up: by encoding, opcode map and opcode, then by ModRM.reg and by whether ModRM names a
// register. What remains to be chosen (mandatory prefix, mode, W, feature) is tried in the order of the rows. An encoding is filed when it
// is first met, and a row is read when its opcode is first met: most runs meet few of them.
import type { Row } from './opcodes/row.ts';
import type { Encoding } from './prefixes.ts';
import { encodingOf, parseOpcode, type Reading } from './notation.ts';
import { parseOperand, usesRm, type OperandForm } from './operands.ts';
import { rows } from './rows.ts';

export { rows } from './rows.ts';

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

export interface Slot {
  readonly modrm: boolean;
  /** Without ModRM one list; with it sixteen, by reg, plus 8 when mod is 11. */
  readonly forms: readonly (readonly Form[])[];
}

/** A slot before its rows are read. */
interface FiledRow { readonly row: Row; readonly reading: Reading }
interface Drawer { readonly filed: FiledRow[]; slot: Slot | undefined }
/** By map and opcode: `map << 8 | opcode`. */
type Cabinet = (Drawer | undefined)[];

const cabinets: Record<Encoding, Cabinet | undefined> = { legacy: undefined, vex: undefined, evex: undefined, xop: undefined };

/** The rows of an opcode, or undefined where there are none. */
export function lookUp(encoding: Encoding, map: number, opcode: number): Slot | undefined {
  const cabinet = cabinets[encoding] ??= file(encoding);
  const drawer = cabinet[map << 8 | opcode];
  return drawer && (drawer.slot ??= readSlot(drawer.filed));
}

function file(encoding: Encoding): Cabinet {
  const cabinet = new Array<Drawer | undefined>(11 << 8).fill(undefined);
  for (const row of rows) {
    if (encodingOf(row[1]) !== encoding) continue;
    const reading = parseOpcode(row[1]);
    for (let opcode = reading.opcode; opcode < reading.opcode + reading.span; opcode++) {
      (cabinet[reading.map << 8 | opcode] ??= { filed: [], slot: undefined }).filed.push({ row, reading });
    }
  }
  return cabinet;
}

function readSlot(filed: readonly FiledRow[]): Slot {
  const { modrm } = filed[0]!.reading;
  const forms: Form[][] = Array.from({ length: modrm ? 16 : 1 }, () => []);
  for (const { row, reading } of filed) {
    if (reading.modrm !== modrm) throw new Error(`${row[0]} ${row[1]}: rows of one opcode disagree about ModRM`);
    const notes = row[3] ? row[3].split(' ') : [];
    for (const note of notes) if (note[0] !== '+' && !knownNotes.includes(note)) throw new Error(`${row[0]} ${row[1]}: note '${note}' is unknown`);
    enter(forms, reading, formOf(row, reading, notes), notes);
  }
  return { modrm, forms };
}

/** Puts a form under every ModRM that can choose it. */
function enter(forms: Form[][], reading: Reading, form: Form, notes: readonly string[]): void {
  if (!reading.modrm) { forms[0]!.push(form); return; }
  const rm = form.rmOperand;
  const register = !notes.includes('mem') && (rm?.allowsRegister ?? true);
  const memory = form.anyMod || (!notes.includes('reg') && !reading.fixedRegister && (rm?.allowsMemory ?? true));
  for (let reg = 0; reg < 8; reg++) {
    if (reading.reg >= 0 && reg !== reading.reg) continue;
    if (memory) forms[reg]!.push(form);
    if (register) forms[reg + 8]!.push(form);
  }
}
