// PUSH, POP and their relatives; those of segment registers stand in `segment.ts`. In 64-bit mode all of them are 64 bits wide, or 16
// with an operand-size prefix. APM Vol. 3, chapter 3.
import type { Row } from './row.ts';

export const stack: readonly Row[] = [
  ['PUSH', '50+r', 'Zv', 'd64'],
  ['POP', '58+r', 'Zv', 'd64'],
  ['PUSH', '68', 'Iz', 'd64'],
  ['PUSH', '6A', 'Ibs', 'd64'],
  ['PUSH', 'FF /6', 'Ev', 'd64'],
  ['POP', '8F /0', 'Ev', 'd64'],
  ['PUSHA', '60', '', 'i64'],
  ['POPA', '61', '', 'i64'],
  ['PUSHF', '9C', '', 'd64'],
  ['POPF', '9D', '', 'd64'],
  ['ENTER', 'C8', 'Iw,Ib', 'd64'],
  ['LEAVE', 'C9', '', 'd64'],
];
