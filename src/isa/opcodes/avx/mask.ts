// Opmask registers (AVX-512), encoded with VEX. The suffix of the name is the width; prefix and W choose it. SDM Vol. 2.
import type { Row } from '../row.ts';

/** Suffix, width, prefix and W of most of them; the feature that brings the width. */
const widths = [
  { suffix: 'B', size: 'b', fields: '66.0F.W0', feature: 'avx512dq' }, { suffix: 'W', size: 'w', fields: '0F.W0', feature: 'avx512f' },
  { suffix: 'D', size: 'd', fields: '66.0F.W1', feature: 'avx512bw' }, { suffix: 'Q', size: 'q', fields: '0F.W1', feature: 'avx512bw' },
] as const;

const threeOperands = ([name, opcode, wordFeature]: readonly [string, string, string?]): Row[] => widths.map(({ suffix, size, fields, feature }) =>
  [`${name}${suffix}`, `VEX.L1.${fields} ${opcode} /r`, `Kg${size},Kh${size},Kr${size}`, `+${(suffix === 'W' && wordFeature) || feature}`]);
const twoOperands = ([name, opcode, wordFeature]: readonly [string, string, string?]): Row[] => widths.map(({ suffix, size, fields, feature }) =>
  [`${name}${suffix}`, `VEX.L0.${fields} ${opcode} /r`, `Kg${size},Kr${size}`, `+${(suffix === 'W' && wordFeature) || feature}`]);
const shifts = ([name, opcode]: readonly [string, number]): Row[] => [
  [`${name}B`, `VEX.L0.66.0F3A.W0 ${opcode.toString(16)} /r`, 'Kgb,Krb,Ib', '+avx512dq'],
  [`${name}W`, `VEX.L0.66.0F3A.W1 ${opcode.toString(16)} /r`, 'Kgw,Krw,Ib', '+avx512f'],
  [`${name}D`, `VEX.L0.66.0F3A.W0 ${(opcode + 1).toString(16)} /r`, 'Kgd,Krd,Ib', '+avx512bw'],
  [`${name}Q`, `VEX.L0.66.0F3A.W1 ${(opcode + 1).toString(16)} /r`, 'Kgq,Krq,Ib', '+avx512bw'],
];

export const mask: readonly Row[] = [
  ...([['KAND', '41'], ['KANDN', '42'], ['KOR', '45'], ['KXNOR', '46'], ['KXOR', '47'], ['KADD', '4A', 'avx512dq']] as const).flatMap(threeOperands),
  ...([['KNOT', '44'], ['KORTEST', '98'], ['KTEST', '99', 'avx512dq']] as const).flatMap(twoOperands),
  ...([['KSHIFTR', 0x30], ['KSHIFTL', 0x32]] as const).flatMap(shifts),
  ['KUNPCKBW', 'VEX.L1.66.0F.W0 4B /r', 'Kgw,Khb,Krb', '+avx512f'],
  ['KUNPCKWD', 'VEX.L1.0F.W0 4B /r', 'Kgd,Khw,Krw', '+avx512bw'],
  ['KUNPCKDQ', 'VEX.L1.0F.W1 4B /r', 'Kgq,Khd,Krd', '+avx512bw'],
  ...widths.flatMap(({ suffix, size, fields, feature }): Row[] => [
    [`KMOV${suffix}`, `VEX.L0.${fields} 90 /r`, `Kg${size},Ke${size}`, `+${feature}`],
    [`KMOV${suffix}`, `VEX.L0.${fields} 91 /r`, `M${size},Kg${size}`, `+${feature}`],
  ]),
  ['KMOVB', 'VEX.L0.66.0F.W0 92 /r', 'Kgb,Rd', '+avx512dq'],
  ['KMOVW', 'VEX.L0.0F.W0 92 /r', 'Kgw,Rd', '+avx512f'],
  ['KMOVQ', 'VEX.L0.F2.0F.W1 92 /r', 'Kgq,Rq', 'o64 +avx512bw'],
  ['KMOVD', 'VEX.L0.F2.0F 92 /r', 'Kgd,Rd', '+avx512bw'],
  ['KMOVB', 'VEX.L0.66.0F.W0 93 /r', 'Gd,Krb', '+avx512dq'],
  ['KMOVW', 'VEX.L0.0F.W0 93 /r', 'Gd,Krw', '+avx512f'],
  ['KMOVQ', 'VEX.L0.F2.0F.W1 93 /r', 'Gq,Krq', 'o64 +avx512bw'],
  ['KMOVD', 'VEX.L0.F2.0F 93 /r', 'Gd,Krd', '+avx512bw'],
];
