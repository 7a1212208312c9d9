// Single bits, bit scans and counts, byte order, checksums. LZCNT and TZCNT fall back to BSR and BSF where the feature is absent.
// APM Vol. 3, chapter 3.
import type { Row } from './row.ts';

const bitTest = (mnemonic: string, number: number): Row[] => {
  const lock = mnemonic === 'BT' ? '' : 'lock';
  return [
    [mnemonic, `0F ${(0x83 + 8 * number).toString(16)} /r`, 'Ev,Gv', lock],
    [mnemonic, `0F BA /${number}`, 'Ev,Ib', lock],
  ];
};

export const bits: readonly Row[] = [
  ...bitTest('BT', 4), ...bitTest('BTS', 5), ...bitTest('BTR', 6), ...bitTest('BTC', 7),
  ['TZCNT', 'F3 0F BC /r', 'Gv,Ev', '+bmi1'],
  ['BSF', '0F BC /r', 'Gv,Ev'],
  ['LZCNT', 'F3 0F BD /r', 'Gv,Ev', '+abm'],
  ['BSR', '0F BD /r', 'Gv,Ev'],
  ['POPCNT', 'F3 0F B8 /r', 'Gv,Ev', '+popcnt'],
  ['BSWAP', '0F C8+r', 'Zv'],
  ['MOVBE', 'NFx 0F 38 F0 /r', 'Gv,Mv', '+movbe'],
  ['MOVBE', 'NFx 0F 38 F1 /r', 'Mv,Gv', '+movbe'],
  ['CRC32', 'F2 0F 38 F0 /r', 'Gy,Eb', '+sse4.2'],
  ['CRC32', 'F2 0F 38 F1 /r', 'Gy,Ev', '+sse4.2'],
];
