// Ports. The string forms stand in `string.ts`. APM Vol. 3, chapter 3.
import type { Row } from './row.ts';

export const io: readonly Row[] = [
  ['IN', 'E4', 'AL,Ib'],
  ['IN', 'E5', 'zAX,Ib'],
  ['OUT', 'E6', 'Ib,AL'],
  ['OUT', 'E7', 'Ib,zAX'],
  ['IN', 'EC', 'AL,DX'],
  ['IN', 'ED', 'zAX,DX'],
  ['OUT', 'EE', 'DX,AL'],
  ['OUT', 'EF', 'DX,zAX'],
];
