// Decimal adjustment. None of it exists in 64-bit mode. APM Vol. 3, chapter 3.
import type { Row } from './row.ts';

export const bcd: readonly Row[] = [
  ['DAA', '27', '', 'i64'],
  ['DAS', '2F', '', 'i64'],
  ['AAA', '37', '', 'i64'],
  ['AAS', '3F', '', 'i64'],
  ['AAM', 'D4', 'Ib', 'i64'],
  ['AAD', 'D5', 'Ib', 'i64'],
  // Undocumented by Intel until late, and by AMD in table A-1 only: AL becomes FF or 0 by CF.
  ['SALC', 'D6', '', 'i64'],
];
