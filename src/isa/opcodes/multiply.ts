// Multiplication and division. The one-operand forms name only the operand that the encoding names: rAX and rDX are implied.
// APM Vol. 3, chapter 3.
import type { Row } from './row.ts';

const group3 = (mnemonic: string, number: number): Row[] => [
  [mnemonic, `F6 /${number}`, 'Eb'],
  [mnemonic, `F7 /${number}`, 'Ev'],
];

export const multiply: readonly Row[] = [
  ...group3('MUL', 4), ...group3('IMUL', 5), ...group3('DIV', 6), ...group3('IDIV', 7),
  ['IMUL', '69 /r', 'Gv,Ev,Iz'],
  ['IMUL', '6B /r', 'Gv,Ev,Ibs'],
  ['IMUL', '0F AF /r', 'Gv,Ev'],
];
