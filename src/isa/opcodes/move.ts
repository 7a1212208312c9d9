// Moves between general registers and memory, with and without extension, under a condition, and the width conversions.
// APM Vol. 3, chapter 3.
import type { Row } from './row.ts';

export const move: readonly Row[] = [
  ['MOV', '88 /r', 'Eb,Gb'],
  ['MOV', '89 /r', 'Ev,Gv'],
  ['MOV', '8A /r', 'Gb,Eb'],
  ['MOV', '8B /r', 'Gv,Ev'],
  ['MOV', 'A0', 'AL,Ob'],
  ['MOV', 'A1', 'rAX,Ov'],
  ['MOV', 'A2', 'Ob,AL'],
  ['MOV', 'A3', 'Ov,rAX'],
  ['MOV', 'B0+r', 'Zb,Ib'],
  ['MOV', 'B8+r', 'Zv,Iv'],
  ['MOV', 'C6 /0', 'Eb,Ib'],
  ['MOV', 'C7 /0', 'Ev,Iz'],
  ['LEA', '8D /r', 'Gv,M'],
  ['XCHG', '86 /r', 'Eb,Gb', 'lock'],
  ['XCHG', '87 /r', 'Ev,Gv', 'lock'],
  ['XCHG', '90+r', 'Zv,rAX'],
  ['MOVZX', '0F B6 /r', 'Gv,Eb'],
  ['MOVZX', '0F B7 /r', 'Gv,Ew'],
  ['MOVSX', '0F BE /r', 'Gv,Eb'],
  ['MOVSX', '0F BF /r', 'Gv,Ew'],
  ['MOVSXD', '63 /r', 'Gv,Ez', 'o64'],
  ['CMOVCC', '0F 40+cc /r', 'Gv,Ev', '+cmov'],
  ['SETCC', '0F 90+cc /r', 'Eb'],
  ['CBW', '98'],
  ['CWD', '99'],
  ['XLAT', 'D7', 'AL,BX+AL'],
  ['MOVNTI', 'NP 0F C3 /r', 'My,Gy', '+sse2'],
  ['MOVDIRI', 'NP 0F 38 F9 /r', 'My,Gy', '+movdiri'],
];
