// Reads the opcode column of a row: `66 0F 38 F6 /r`, `VEX.128.66.0F.WIG 58 /r` (SDM Vol. 2A, 3.1.1). Called once per row by `tables.ts`;
// `opcodes/row.ts` says what may stand there.
import type { Encoding } from './prefixes.ts';

/** How the mandatory prefix chooses. */
export const Mandatory = { any: 0, none: 1, x66: 2, xF3: 3, xF2: 4, noRepeat: 5 } as const;
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

/** The opcode column, read. `-1` is free. */
export interface Reading {
  encoding: Encoding;
  map: number;
  opcode: number;
  /** How many opcodes from there on: 8 for +r, 16 for +cc. */
  span: number;
  conditional: boolean;
  modrm: boolean;
  reg: number;
  rm: number;
  /** A whole ModRM byte is given: mod is 11. */
  fixedRegister: boolean;
  mandatory: number;
  w: -1 | 0 | 1;
  vectorLength: number;
}

/** Which of the four encodings a row belongs to, without reading the rest. */
export const encodingOf = (notation: string): Encoding =>
  notation.startsWith('VEX.') ? 'vex' : notation.startsWith('EVEX.') ? 'evex' : notation.startsWith('XOP.') ? 'xop' : 'legacy';

/** Reads the opcode column. */
export function parseOpcode(notation: string): Reading {
  const tokens = notation.split(' ');
  const reading: Reading = {
    encoding: 'legacy', map: 0, opcode: -1, span: 1, modrm: false, reg: -1, rm: -1, fixedRegister: false,
    mandatory: Mandatory.any, w: -1, vectorLength: -1, conditional: false,
  };
  let index = 0;
  const first = tokens[0]!;
  if (encodingOf(notation) !== 'legacy') {
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
