// Shifts and rotates by an immediate, by 1 and by CL, and the double shifts. /6 is an alias of SHL (APM Vol. 3, table A-6).
import type { Row } from './row.ts';

const group2 = (mnemonic: string, number: number): Row[] => [
  [mnemonic, `C0 /${number}`, 'Eb,Ib'],
  [mnemonic, `C1 /${number}`, 'Ev,Ib'],
  [mnemonic, `D0 /${number}`, 'Eb,1'],
  [mnemonic, `D1 /${number}`, 'Ev,1'],
  [mnemonic, `D2 /${number}`, 'Eb,CL'],
  [mnemonic, `D3 /${number}`, 'Ev,CL'],
];

export const shift: readonly Row[] = [
  ...['ROL', 'ROR', 'RCL', 'RCR', 'SHL', 'SHR', 'SHL', 'SAR'].flatMap(group2),
  ['SHLD', '0F A4 /r', 'Ev,Gv,Ib'],
  ['SHLD', '0F A5 /r', 'Ev,Gv,CL'],
  ['SHRD', '0F AC /r', 'Ev,Gv,Ib'],
  ['SHRD', '0F AD /r', 'Ev,Gv,CL'],
];
