// 3DNow! and its extensions: 0F 0F, ModRM, and the opcode as the last byte. APM Vol. 5, appendix D of older revisions.
import type { Row } from './row.ts';

const instruction = (mnemonic: string, opcode: string, feature: string): Row => [mnemonic, `0F 0F ${opcode} /r`, 'Pq,Qq', `+${feature}`];

export const amd3d: readonly Row[] = [
  ['FEMMS', '0F 0E', '', '+3dnow'],
  instruction('PI2FW', '0C', '3dnowext'), instruction('PI2FD', '0D', '3dnow'), instruction('PF2IW', '1C', '3dnowext'),
  instruction('PF2ID', '1D', '3dnow'), instruction('PFNACC', '8A', '3dnowext'), instruction('PFPNACC', '8E', '3dnowext'),
  instruction('PFCMPGE', '90', '3dnow'), instruction('PFMIN', '94', '3dnow'), instruction('PFRCP', '96', '3dnow'),
  instruction('PFRSQRT', '97', '3dnow'), instruction('PFSUB', '9A', '3dnow'), instruction('PFADD', '9E', '3dnow'),
  instruction('PFCMPGT', 'A0', '3dnow'), instruction('PFMAX', 'A4', '3dnow'), instruction('PFRCPIT1', 'A6', '3dnow'),
  instruction('PFRSQIT1', 'A7', '3dnow'), instruction('PFSUBR', 'AA', '3dnow'), instruction('PFACC', 'AE', '3dnow'),
  instruction('PFCMPEQ', 'B0', '3dnow'), instruction('PFMUL', 'B4', '3dnow'), instruction('PFRCPIT2', 'B6', '3dnow'),
  instruction('PMULHRW', 'B7', '3dnow'), instruction('PSWAPD', 'BB', '3dnowext'), instruction('PAVGUSB', 'BF', '3dnow'),
];
