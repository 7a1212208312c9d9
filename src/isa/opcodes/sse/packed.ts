// Packed integers that exist in two or three encodings: MMX, SSE, and VEX. Each list states mnemonic and opcode once; `avx/packed.ts`
// reads the same lists. APM Vol. 4 and Vol. 5.
import type { Row } from '../row.ts';

/** Map 0F. The third column is the feature of the MMX form. */
export const packed0F: readonly (readonly [mnemonic: string, opcode: string, feature: string])[] = [
  ['PUNPCKLBW', '60', 'mmx'], ['PUNPCKLWD', '61', 'mmx'], ['PUNPCKLDQ', '62', 'mmx'], ['PACKSSWB', '63', 'mmx'],
  ['PCMPGTB', '64', 'mmx'], ['PCMPGTW', '65', 'mmx'], ['PCMPGTD', '66', 'mmx'], ['PACKUSWB', '67', 'mmx'],
  ['PUNPCKHBW', '68', 'mmx'], ['PUNPCKHWD', '69', 'mmx'], ['PUNPCKHDQ', '6A', 'mmx'], ['PACKSSDW', '6B', 'mmx'],
  ['PCMPEQB', '74', 'mmx'], ['PCMPEQW', '75', 'mmx'], ['PCMPEQD', '76', 'mmx'],
  ['PSRLW', 'D1', 'mmx'], ['PSRLD', 'D2', 'mmx'], ['PSRLQ', 'D3', 'mmx'], ['PADDQ', 'D4', 'sse2'], ['PMULLW', 'D5', 'mmx'],
  ['PSUBUSB', 'D8', 'mmx'], ['PSUBUSW', 'D9', 'mmx'], ['PMINUB', 'DA', 'sse'], ['PAND', 'DB', 'mmx'],
  ['PADDUSB', 'DC', 'mmx'], ['PADDUSW', 'DD', 'mmx'], ['PMAXUB', 'DE', 'sse'], ['PANDN', 'DF', 'mmx'],
  ['PAVGB', 'E0', 'sse'], ['PSRAW', 'E1', 'mmx'], ['PSRAD', 'E2', 'mmx'], ['PAVGW', 'E3', 'sse'],
  ['PMULHUW', 'E4', 'sse'], ['PMULHW', 'E5', 'mmx'], ['PSUBSB', 'E8', 'mmx'], ['PSUBSW', 'E9', 'mmx'],
  ['PMINSW', 'EA', 'sse'], ['POR', 'EB', 'mmx'], ['PADDSB', 'EC', 'mmx'], ['PADDSW', 'ED', 'mmx'],
  ['PMAXSW', 'EE', 'sse'], ['PXOR', 'EF', 'mmx'], ['PSLLW', 'F1', 'mmx'], ['PSLLD', 'F2', 'mmx'], ['PSLLQ', 'F3', 'mmx'],
  ['PMULUDQ', 'F4', 'sse2'], ['PMADDWD', 'F5', 'mmx'], ['PSADBW', 'F6', 'sse'],
  ['PSUBB', 'F8', 'mmx'], ['PSUBW', 'F9', 'mmx'], ['PSUBD', 'FA', 'mmx'], ['PSUBQ', 'FB', 'sse2'],
  ['PADDB', 'FC', 'mmx'], ['PADDW', 'FD', 'mmx'], ['PADDD', 'FE', 'mmx'],
];

/** Map 0F38, SSSE3: both MMX and SSE. */
export const packedSsse3: readonly (readonly [mnemonic: string, opcode: string])[] = [
  ['PSHUFB', '00'], ['PHADDW', '01'], ['PHADDD', '02'], ['PHADDSW', '03'], ['PMADDUBSW', '04'], ['PHSUBW', '05'], ['PHSUBD', '06'],
  ['PHSUBSW', '07'], ['PSIGNB', '08'], ['PSIGNW', '09'], ['PSIGND', '0A'], ['PMULHRSW', '0B'],
];
/** The same with one source. */
export const absolute: readonly (readonly [mnemonic: string, opcode: string])[] = [['PABSB', '1C'], ['PABSW', '1D'], ['PABSD', '1E']];

/** SSE only: map, opcode, feature of the SSE form. */
export const packedSse: readonly (readonly [mnemonic: string, map: '0F' | '0F38', opcode: string, feature: string])[] = [
  ['PUNPCKLQDQ', '0F', '6C', 'sse2'], ['PUNPCKHQDQ', '0F', '6D', 'sse2'],
  ['PMULDQ', '0F38', '28', 'sse4.1'], ['PCMPEQQ', '0F38', '29', 'sse4.1'], ['PACKUSDW', '0F38', '2B', 'sse4.1'], ['PCMPGTQ', '0F38', '37', 'sse4.2'],
  ['PMINSB', '0F38', '38', 'sse4.1'], ['PMINSD', '0F38', '39', 'sse4.1'], ['PMINUW', '0F38', '3A', 'sse4.1'], ['PMINUD', '0F38', '3B', 'sse4.1'],
  ['PMAXSB', '0F38', '3C', 'sse4.1'], ['PMAXSD', '0F38', '3D', 'sse4.1'], ['PMAXUW', '0F38', '3E', 'sse4.1'], ['PMAXUD', '0F38', '3F', 'sse4.1'],
  ['PMULLD', '0F38', '40', 'sse4.1'],
];

/** Shifts by an immediate: opcode, ModRM.reg; the last two shift whole vectors by bytes and have no MMX form. */
export const packedShifts: readonly (readonly [mnemonic: string, opcode: string, reg: number, mmx: boolean])[] = [
  ['PSRLW', '71', 2, true], ['PSRAW', '71', 4, true], ['PSLLW', '71', 6, true],
  ['PSRLD', '72', 2, true], ['PSRAD', '72', 4, true], ['PSLLD', '72', 6, true],
  ['PSRLQ', '73', 2, true], ['PSRLDQ', '73', 3, false], ['PSLLQ', '73', 6, true], ['PSLLDQ', '73', 7, false],
];

/** PMOVSX and PMOVZX: the part of the source that becomes a whole vector. */
export const packedExtensions: readonly (readonly [suffix: string, opcodeLow: number, part: 'x2' | 'x4' | 'x8'])[] = [
  ['BW', 0, 'x2'], ['BD', 1, 'x4'], ['BQ', 2, 'x8'], ['WD', 3, 'x2'], ['WQ', 4, 'x4'], ['DQ', 5, 'x2'],
];

/** MMX reads only the half that it uses when the low halves are interleaved from memory. */
const lowHalf = new Set(['PUNPCKLBW', 'PUNPCKLWD', 'PUNPCKLDQ']);
const spaced = (map: '0F' | '0F38'): string => map === '0F' ? '0F' : '0F 38';

export const packed: readonly Row[] = [
  ...packed0F.flatMap(([mnemonic, opcode, feature]): Row[] => [
    [mnemonic, `NP 0F ${opcode} /r`, lowHalf.has(mnemonic) ? 'Pq,Nd/Md' : 'Pq,Qq', `+${feature}`],
    [mnemonic, `66 0F ${opcode} /r`, 'Vdq,Wdq', '+sse2'],
  ]),
  ...packedSsse3.flatMap(([mnemonic, opcode]): Row[] => [
    [mnemonic, `NP 0F 38 ${opcode} /r`, 'Pq,Qq', '+ssse3'],
    [mnemonic, `66 0F 38 ${opcode} /r`, 'Vdq,Wdq', '+ssse3'],
  ]),
  ...absolute.flatMap(([mnemonic, opcode]): Row[] => [
    [mnemonic, `NP 0F 38 ${opcode} /r`, 'Pq,Qq', '+ssse3'],
    [mnemonic, `66 0F 38 ${opcode} /r`, 'Vdq,Wdq', '+ssse3'],
  ]),
  ...packedSse.map(([mnemonic, map, opcode, feature]): Row => [mnemonic, `66 ${spaced(map)} ${opcode} /r`, 'Vdq,Wdq', `+${feature}`]),
  ...packedShifts.flatMap(([mnemonic, opcode, reg, mmx]): Row[] => [
    ...(mmx ? [[mnemonic, `NP 0F ${opcode} /${reg}`, 'Nq,Ib', '+mmx'] as Row] : []),
    [mnemonic, `66 0F ${opcode} /${reg}`, 'Udq,Ib', '+sse2'],
  ]),
  ...packedExtensions.flatMap(([suffix, low, part]): Row[] => [
    [`PMOVSX${suffix}`, `66 0F 38 ${20 + low} /r`, `Vdq,W${part}`, '+sse4.1'],
    [`PMOVZX${suffix}`, `66 0F 38 ${30 + low} /r`, `Vdq,W${part}`, '+sse4.1'],
  ]),
  ['PALIGNR', 'NP 0F 3A 0F /r', 'Pq,Qq,Ib', '+ssse3'],
  ['PALIGNR', '66 0F 3A 0F /r', 'Vdq,Wdq,Ib', '+ssse3'],
  ['PSHUFW', 'NP 0F 70 /r', 'Pq,Qq,Ib', '+sse'],
  ['PSHUFD', '66 0F 70 /r', 'Vdq,Wdq,Ib', '+sse2'],
  ['PSHUFHW', 'F3 0F 70 /r', 'Vdq,Wdq,Ib', '+sse2'],
  ['PSHUFLW', 'F2 0F 70 /r', 'Vdq,Wdq,Ib', '+sse2'],
  ['PHMINPOSUW', '66 0F 38 41 /r', 'Vdq,Wdq', '+sse4.1'],
  ['PTEST', '66 0F 38 17 /r', 'Vdq,Wdq', '+sse4.1'],
  ['PBLENDVB', '66 0F 38 10 /r', 'Vdq,Wdq,XMM0', '+sse4.1'],
  ['PBLENDW', '66 0F 3A 0E /r', 'Vdq,Wdq,Ib', '+sse4.1'],
  ['MPSADBW', '66 0F 3A 42 /r', 'Vdq,Wdq,Ib', '+sse4.1'],
  ['PINSRW', 'NP 0F C4 /r', 'Pq,Ry/Mw,Ib', '+sse'],
  ['PINSRW', '66 0F C4 /r', 'Vdq,Ry/Mw,Ib', '+sse2'],
  ['PEXTRW', 'NP 0F C5 /r', 'Gy,Nq,Ib', '+sse'],
  ['PEXTRW', '66 0F C5 /r', 'Gy,Udq,Ib', '+sse2'],
  ['PMOVMSKB', 'NP 0F D7 /r', 'Gy,Nq', '+sse'],
  ['PMOVMSKB', '66 0F D7 /r', 'Gy,Udq', '+sse2'],
  ['PEXTRB', '66 0F 3A 14 /r', 'Ry/Mb,Vdq,Ib', '+sse4.1'],
  ['PEXTRW', '66 0F 3A 15 /r', 'Ry/Mw,Vdq,Ib', '+sse4.1'],
  ['PEXTRQ', '66 REX.W 0F 3A 16 /r', 'Ey,Vdq,Ib', '+sse4.1'],
  ['PEXTRD', '66 0F 3A 16 /r', 'Ey,Vdq,Ib', '+sse4.1'],
  ['PINSRB', '66 0F 3A 20 /r', 'Vdq,Ry/Mb,Ib', '+sse4.1'],
  ['PINSRQ', '66 REX.W 0F 3A 22 /r', 'Vdq,Ey,Ib', '+sse4.1'],
  ['PINSRD', '66 0F 3A 22 /r', 'Vdq,Ey,Ib', '+sse4.1'],
  ['PCMPESTRM', '66 0F 3A 60 /r', 'XMM0,Vdq,Wdq,Ib', '+sse4.2'],
  ['PCMPESTRI', '66 0F 3A 61 /r', 'Vdq,Wdq,Ib', '+sse4.2'],
  ['PCMPISTRM', '66 0F 3A 62 /r', 'XMM0,Vdq,Wdq,Ib', '+sse4.2'],
  ['PCMPISTRI', '66 0F 3A 63 /r', 'Vdq,Wdq,Ib', '+sse4.2'],
  ['EXTRQ', '66 0F 78 /0', 'Udq,Ib,Ib', '+sse4a'],
  ['EXTRQ', '66 0F 79 /r', 'Vdq,Udq', '+sse4a'],
  ['INSERTQ', 'F2 0F 78 /r', 'Vdq,Udq,Ib,Ib', '+sse4a'],
  ['INSERTQ', 'F2 0F 79 /r', 'Vdq,Udq', '+sse4a'],
];
