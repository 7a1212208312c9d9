// String instructions: one element each; REP and REPNE repeat them. The implied memory operands are explicit. APM Vol. 3, chapter 3.
import type { Row } from './row.ts';

export const string: readonly Row[] = [
  ['MOVS', 'A4', 'Yb,Xb', 'string'],
  ['MOVS', 'A5', 'Yv,Xv', 'string'],
  ['CMPS', 'A6', 'Xb,Yb', 'string'],
  ['CMPS', 'A7', 'Xv,Yv', 'string'],
  ['STOS', 'AA', 'Yb,AL', 'string'],
  ['STOS', 'AB', 'Yv,rAX', 'string'],
  ['LODS', 'AC', 'AL,Xb', 'string'],
  ['LODS', 'AD', 'rAX,Xv', 'string'],
  ['SCAS', 'AE', 'AL,Yb', 'string'],
  ['SCAS', 'AF', 'rAX,Yv', 'string'],
  ['INS', '6C', 'Yb,DX', 'string'],
  ['INS', '6D', 'Yz,DX', 'string'],
  ['OUTS', '6E', 'DX,Xb', 'string'],
  ['OUTS', '6F', 'DX,Xz', 'string'],
];
