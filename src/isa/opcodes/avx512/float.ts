// AVX-512 floating point: arithmetic with rounding in the instruction, comparison into masks, conversions. SDM Vol. 2.
import type { Row } from '../row.ts';
import { evex, pair, scalarPair, singleDouble } from './rows.ts';

const three = 'Vx,Hx,Wx';
const scalarThree = (size: string): string => `Vdq,Hdq,W${size}`;

/** PS, PD, SS and SD of one opcode in map 0F. */
const four = (name: string, opcode: string, control: 'er' | 'sae', oneSource = false): Row[] => [
  evex(`${name}PS`, '0F.W0', opcode, oneSource ? 'Vx,Wx' : three, `zero b32 ${control} +avx512f`),
  evex(`${name}PD`, '66.0F.W1', opcode, oneSource ? 'Vx,Wx' : three, `zero b64 ${control} +avx512f`),
  evex(`${name}SS`, 'F3.0F.W0', opcode, scalarThree('ss'), `zero ${control} +avx512f`),
  evex(`${name}SD`, 'F2.0F.W1', opcode, scalarThree('sd'), `zero ${control} +avx512f`),
];
/** PS and PD of one opcode in map 0F. */
const two = (name: string, opcode: string, operands: string, feature: string): Row[] => [
  evex(`${name}PS`, '0F.W0', opcode, operands, `zero b32 +${feature}`), evex(`${name}PD`, '66.0F.W1', opcode, operands, `zero b64 +${feature}`),
];
/** Packed and scalar pairs that W tells apart, in neighbouring opcodes. */
const packedAndScalar = (name: string, fields: string, packed: string, scalar: string, operands: string, scalarOperands: (size: string) => string, notes: string): Row[] => [
  ...pair(singleDouble(name), fields, packed, operands, notes), ...scalarPair(name, fields, scalar, scalarOperands, notes),
];
const fused = [
  ['VFMADDSUB', 6], ['VFMSUBADD', 7], ['VFMADD', 8], ['VFMSUB', 0xa], ['VFNMADD', 0xc], ['VFNMSUB', 0xe],
] as const;

export const avx512Float: readonly Row[] = [
  ...four('VADD', '58', 'er'), ...four('VMUL', '59', 'er'), ...four('VSUB', '5C', 'er'), ...four('VDIV', '5E', 'er'), ...four('VSQRT', '51', 'er', true),
  ...four('VMIN', '5D', 'sae'), ...four('VMAX', '5F', 'sae'),
  ...two('VAND', '54', three, 'avx512dq'), ...two('VANDN', '55', three, 'avx512dq'), ...two('VOR', '56', three, 'avx512dq'), ...two('VXOR', '57', three, 'avx512dq'),
  ...two('VUNPCKL', '14', three, 'avx512f'), ...two('VUNPCKH', '15', three, 'avx512f'), ...two('VSHUF', 'C6', `${three},Ib`, 'avx512f'),
  evex('VCMPPS', '0F.W0', 'C2', 'Kgq,Hx,Wx,Ib', 'mask b32 sae +avx512f'),
  evex('VCMPPD', '66.0F.W1', 'C2', 'Kgq,Hx,Wx,Ib', 'mask b64 sae +avx512f'),
  evex('VCMPSS', 'F3.0F.W0', 'C2', 'Kgq,Hdq,Wss,Ib', 'mask sae +avx512f'),
  evex('VCMPSD', 'F2.0F.W1', 'C2', 'Kgq,Hdq,Wsd,Ib', 'mask sae +avx512f'),
  evex('VUCOMISS', '0F.W0', '2E', 'Vss,Wss', 'sae +avx512f'),
  evex('VUCOMISD', '66.0F.W1', '2E', 'Vsd,Wsd', 'sae +avx512f'),
  evex('VCOMISS', '0F.W0', '2F', 'Vss,Wss', 'sae +avx512f'),
  evex('VCOMISD', '66.0F.W1', '2F', 'Vsd,Wsd', 'sae +avx512f'),
  // Fused multiply-add, in the opcodes of FMA3.
  ...([['132', 0x90], ['213', 0xa0], ['231', 0xb0]] as const).flatMap(([order, high]) => fused.flatMap(([name, low]) => [
    ...pair(singleDouble(name + order), '66.0F38', (high + low).toString(16), three, 'zero er +avx512f'),
    ...(low >= 8 ? scalarPair(name + order, '66.0F38', (high + low + 1).toString(16), scalarThree, 'zero er +avx512f') : []),
  ])),
  // Conversions of scalars.
  ...([['VCVTSI2', '2A'], ['VCVTUSI2', '7B']] as const).flatMap(([name, opcode]) => [
    evex(`${name}SS`, 'F3.0F', opcode, 'Vdq,Hdq,Ey', 'er +avx512f'),
    evex(`${name}SD`, 'F2.0F.W1', opcode, 'Vdq,Hdq,Ey', 'o64 er +avx512f'),
    // From 32 bits to double nothing is rounded; the b bit is ignored there.
    evex(`${name}SD`, 'F2.0F', opcode, 'Vdq,Hdq,Ey', 'er +avx512f'),
  ]),
  ...([['VCVTT', 'SI', '2C', 'sae'], ['VCVT', 'SI', '2D', 'er'], ['VCVTT', 'USI', '78', 'sae'], ['VCVT', 'USI', '79', 'er']] as const).flatMap(([name, to, opcode, control]) => [
    evex(`${name}SS2${to}`, 'F3.0F', opcode, 'Gy,Wss', `${control} +avx512f`),
    evex(`${name}SD2${to}`, 'F2.0F', opcode, 'Gy,Wsd', `${control} +avx512f`),
  ]),
  evex('VCVTSS2SD', 'F3.0F.W0', '5A', 'Vdq,Hdq,Wss', 'zero sae +avx512f'),
  evex('VCVTSD2SS', 'F2.0F.W1', '5A', 'Vdq,Hdq,Wsd', 'zero er +avx512f'),
  // Conversions of vectors: prefix and W choose. Doublewords to double are exact: rounding may be encoded there, and does nothing.
  ...([
    ['VCVTPS2PD', '0F.W0', '5A', 'Vx,Wx2', 'b32 sae'], ['VCVTPD2PS', '66.0F.W1', '5A', 'Vx2,Wx', 'b64 er'],
    ['VCVTDQ2PS', '0F.W0', '5B', 'Vx,Wx', 'b32 er'], ['VCVTQQ2PS', '0F.W1', '5B', 'Vx2,Wx', 'b64 er'],
    ['VCVTPS2DQ', '66.0F.W0', '5B', 'Vx,Wx', 'b32 er'], ['VCVTTPS2DQ', 'F3.0F.W0', '5B', 'Vx,Wx', 'b32 sae'],
    ['VCVTTPD2DQ', '66.0F.W1', 'E6', 'Vx2,Wx', 'b64 sae'], ['VCVTDQ2PD', 'F3.0F.W0', 'E6', 'Vx,Wx2', 'b32 er'],
    ['VCVTQQ2PD', 'F3.0F.W1', 'E6', 'Vx,Wx', 'b64 er'], ['VCVTPD2DQ', 'F2.0F.W1', 'E6', 'Vx2,Wx', 'b64 er'],
    ['VCVTTPS2UDQ', '0F.W0', '78', 'Vx,Wx', 'b32 sae'], ['VCVTTPD2UDQ', '0F.W1', '78', 'Vx2,Wx', 'b64 sae'],
    ['VCVTTPS2UQQ', '66.0F.W0', '78', 'Vx,Wx2', 'b32 sae'], ['VCVTTPD2UQQ', '66.0F.W1', '78', 'Vx,Wx', 'b64 sae'],
    ['VCVTPS2UDQ', '0F.W0', '79', 'Vx,Wx', 'b32 er'], ['VCVTPD2UDQ', '0F.W1', '79', 'Vx2,Wx', 'b64 er'],
    ['VCVTPS2UQQ', '66.0F.W0', '79', 'Vx,Wx2', 'b32 er'], ['VCVTPD2UQQ', '66.0F.W1', '79', 'Vx,Wx', 'b64 er'],
    ['VCVTTPS2QQ', '66.0F.W0', '7A', 'Vx,Wx2', 'b32 sae'], ['VCVTTPD2QQ', '66.0F.W1', '7A', 'Vx,Wx', 'b64 sae'],
    ['VCVTUDQ2PD', 'F3.0F.W0', '7A', 'Vx,Wx2', 'b32 er'], ['VCVTUQQ2PD', 'F3.0F.W1', '7A', 'Vx,Wx', 'b64 er'],
    ['VCVTUDQ2PS', 'F2.0F.W0', '7A', 'Vx,Wx', 'b32 er'], ['VCVTUQQ2PS', 'F2.0F.W1', '7A', 'Vx2,Wx', 'b64 er'],
    ['VCVTPS2QQ', '66.0F.W0', '7B', 'Vx,Wx2', 'b32 er'], ['VCVTPD2QQ', '66.0F.W1', '7B', 'Vx,Wx', 'b64 er'],
    ['VCVTPH2PS', '66.0F38.W0', '13', 'Vx,Wx2', 'sae'], ['VCVTPS2PH', '66.0F3A.W0', '1D', 'Wx2,Vx,Ib', 'sae'],
  ] as const).map(([name, fields, opcode, operands, notes]) => evex(name, fields, opcode, operands, `zero ${notes} +avx512f`)),
  evex('VCVTNE2PS2BF16', 'F2.0F38.W0', '72', three, 'zero b32 +avx512-bf16'),
  evex('VCVTNEPS2BF16', 'F3.0F38.W0', '72', 'Vx2,Wx', 'zero b32 +avx512-bf16'),
  evex('VDPBF16PS', 'F3.0F38.W0', '52', three, 'zero b32 +avx512-bf16'),
  // Permutation.
  ...pair(singleDouble('VPERMIL'), '66.0F38', '0C', three, 'zero +avx512f').slice(0, 1), ...pair(singleDouble('VPERMIL'), '66.0F38', '0D', three, 'zero +avx512f').slice(1),
  evex('VPERMILPS', '66.0F3A.W0', '04', 'Vx,Wx,Ib', 'zero b32 +avx512f'),
  evex('VPERMILPD', '66.0F3A.W1', '05', 'Vx,Wx,Ib', 'zero b64 +avx512f'),
  ...pair(singleDouble('VPERM'), '256+.66.0F38', '16', three, 'zero +avx512f'),
  evex('VPERMPD', '256+.66.0F3A.W1', '01', 'Vx,Wx,Ib', 'zero b64 +avx512f'),
  ...pair(singleDouble('VBLENDM'), '66.0F38', '65', three, 'zero +avx512f'),
  ...pair(singleDouble('VPERMI2'), '66.0F38', '77', three, 'zero +avx512f'),
  ...pair(singleDouble('VPERMT2'), '66.0F38', '7F', three, 'zero +avx512f'),
  ...pair(['VSHUFF32X4', 'VSHUFF64X2'], '256+.66.0F3A', '23', `${three},Ib`, 'zero +avx512f'),
  evex('VEXPANDPS', '66.0F38.W0', '88', 'Vx,Wx', 'zero n32 +avx512f'),
  evex('VEXPANDPD', '66.0F38.W1', '88', 'Vx,Wx', 'zero n64 +avx512f'),
  evex('VCOMPRESSPS', '66.0F38.W0', '8A', 'Wx,Vx', 'zero n32 +avx512f'),
  evex('VCOMPRESSPD', '66.0F38.W1', '8A', 'Wx,Vx', 'zero n64 +avx512f'),
  evex('VEXTRACTPS', '128.66.0F3A', '17', 'Ry/Md,Vdq,Ib', '+avx512f'),
  evex('VINSERTPS', '128.66.0F3A.W0', '21', 'Vdq,Hdq,Udq/Md,Ib', '+avx512f'),
  // Approximations, exponents, mantissas, ranges.
  ...packedAndScalar('VSCALEF', '66.0F38', '2C', '2D', three, scalarThree, 'zero er +avx512f'),
  ...packedAndScalar('VGETEXP', '66.0F38', '42', '43', 'Vx,Wx', scalarThree, 'zero sae +avx512f'),
  ...packedAndScalar('VRCP14', '66.0F38', '4C', '4D', 'Vx,Wx', scalarThree, 'zero +avx512f'),
  ...packedAndScalar('VRSQRT14', '66.0F38', '4E', '4F', 'Vx,Wx', scalarThree, 'zero +avx512f'),
  ...pair(singleDouble('VEXP2'), '512.66.0F38', 'C8', 'Vx,Wx', 'zero sae +avx512er'),
  ...pair(singleDouble('VRCP28'), '512.66.0F38', 'CA', 'Vx,Wx', 'zero sae +avx512er'),
  ...scalarPair('VRCP28', '66.0F38', 'CB', scalarThree, 'zero sae +avx512er'),
  ...pair(singleDouble('VRSQRT28'), '512.66.0F38', 'CC', 'Vx,Wx', 'zero sae +avx512er'),
  ...scalarPair('VRSQRT28', '66.0F38', 'CD', scalarThree, 'zero sae +avx512er'),
  evex('VRNDSCALEPS', '66.0F3A.W0', '08', 'Vx,Wx,Ib', 'zero b32 sae +avx512f'),
  evex('VRNDSCALEPD', '66.0F3A.W1', '09', 'Vx,Wx,Ib', 'zero b64 sae +avx512f'),
  evex('VRNDSCALESS', '66.0F3A.W0', '0A', 'Vdq,Hdq,Wss,Ib', 'zero sae +avx512f'),
  evex('VRNDSCALESD', '66.0F3A.W1', '0B', 'Vdq,Hdq,Wsd,Ib', 'zero sae +avx512f'),
  ...packedAndScalar('VGETMANT', '66.0F3A', '26', '27', 'Vx,Wx,Ib', size => `${scalarThree(size)},Ib`, 'zero sae +avx512f'),
  ...packedAndScalar('VRANGE', '66.0F3A', '50', '51', `${three},Ib`, size => `${scalarThree(size)},Ib`, 'zero sae +avx512dq'),
  ...packedAndScalar('VFIXUPIMM', '66.0F3A', '54', '55', `${three},Ib`, size => `${scalarThree(size)},Ib`, 'zero sae +avx512f'),
  ...packedAndScalar('VREDUCE', '66.0F3A', '56', '57', 'Vx,Wx,Ib', size => `${scalarThree(size)},Ib`, 'zero sae +avx512dq'),
  ...packedAndScalar('VFPCLASS', '66.0F3A', '66', '67', 'Kgq,Wx,Ib', size => `Kgq,W${size},Ib`, 'mask +avx512dq'),
];
