// Shorthands for EVEX rows. Most of them come in pairs that W tells apart: doublewords and quadwords, single and double precision; the
// element is then also what a memory operand can broadcast. SDM Vol. 2, 2.7.
import type { Row } from '../row.ts';

/** One row: `EVEX.` fields, opcode, operands, notes. */
export const evex = (mnemonic: string, fields: string, opcode: string, operands: string, notes: string): Row =>
  [mnemonic, `EVEX.${fields} ${opcode.includes('/') ? opcode : `${opcode} /r`}`, operands, notes];

/** Two rows, W0 with 32-bit elements and W1 with 64-bit elements, with these two names. */
export const pair = (names: readonly [string, string], fields: string, opcode: string, operands: string, notes: string): Row[] => [
  evex(names[0], `${fields}.W0`, opcode, operands, `b32 ${notes}`), evex(names[1], `${fields}.W1`, opcode, operands, `b64 ${notes}`),
];
/** The same without broadcast. */
export const plainPair = (names: readonly [string, string], fields: string, opcode: string, operands: string, notes: string): Row[] => [
  evex(names[0], `${fields}.W0`, opcode, operands, notes), evex(names[1], `${fields}.W1`, opcode, operands, notes),
];
export const singleDouble = (name: string): readonly [string, string] => [`${name}PS`, `${name}PD`];
export const doubleQuad = (name: string): readonly [string, string] => [`${name}D`, `${name}Q`];
export const byteWord = (name: string): readonly [string, string] => [`${name}B`, `${name}W`];

/** Two scalar rows, single and double. */
export const scalarPair = (name: string, fields: string, opcode: string, operands: (size: string) => string, notes: string): Row[] => [
  evex(`${name}SS`, `${fields}.W0`, opcode, operands('ss'), notes), evex(`${name}SD`, `${fields}.W1`, opcode, operands('sd'), notes),
];
