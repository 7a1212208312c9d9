// Packed integers in the VEX encoding. What also exists without VEX is derived from the lists of `sse/packed.ts`: a V before the name, one
// more source, 256 bits with AVX2. APM Vol. 4.
import type { Row } from '../row.ts';
import { absolute, packed0F, packedExtensions, packedShifts, packedSse, packedSsse3 } from '../sse/packed.ts';

/** 128 bits are AVX, 256 bits are AVX2. */
export const both = (mnemonic: string, fields: string, opcode: string, operands: string): Row[] => [
  [mnemonic, `VEX.128.${fields} ${opcode}`, operands, '+avx'],
  [mnemonic, `VEX.256.${fields} ${opcode}`, operands, '+avx2'],
];
/** Shifts that take their count from the low half of a 128-bit register. */
const countInXmm = new Set(['PSRLW', 'PSRLD', 'PSRLQ', 'PSRAW', 'PSRAD', 'PSLLW', 'PSLLD', 'PSLLQ']);

export const avxPacked: readonly Row[] = [
  ...packed0F.flatMap(([name, opcode]) => both(`V${name}`, '66.0F', `${opcode} /r`, countInXmm.has(name) ? 'Vx,Hx,Wdq' : 'Vx,Hx,Wx')),
  ...packedSsse3.flatMap(([name, opcode]) => both(`V${name}`, '66.0F38', `${opcode} /r`, 'Vx,Hx,Wx')),
  ...absolute.flatMap(([name, opcode]) => both(`V${name}`, '66.0F38', `${opcode} /r`, 'Vx,Wx')),
  ...packedSse.flatMap(([name, map, opcode]) => both(`V${name}`, `66.${map}`, `${opcode} /r`, 'Vx,Hx,Wx')),
  ...packedShifts.flatMap(([name, opcode, reg]) => both(`V${name}`, '66.0F', `${opcode} /${reg}`, 'Hx,Ux,Ib')),
  ...packedExtensions.flatMap(([suffix, low, part]) => [
    ...both(`VPMOVSX${suffix}`, '66.0F38', `${20 + low} /r`, `Vx,W${part}`), ...both(`VPMOVZX${suffix}`, '66.0F38', `${30 + low} /r`, `Vx,W${part}`),
  ]),
  ...both('VPALIGNR', '66.0F3A', '0F /r', 'Vx,Hx,Wx,Ib'),
  ...both('VPSHUFD', '66.0F', '70 /r', 'Vx,Wx,Ib'),
  ...both('VPSHUFHW', 'F3.0F', '70 /r', 'Vx,Wx,Ib'),
  ...both('VPSHUFLW', 'F2.0F', '70 /r', 'Vx,Wx,Ib'),
  ...both('VPBLENDVB', '66.0F3A.W0', '4C /r', 'Vx,Hx,Wx,Lx'),
  ...both('VPBLENDW', '66.0F3A', '0E /r', 'Vx,Hx,Wx,Ib'),
  ...both('VMPSADBW', '66.0F3A', '42 /r', 'Vx,Hx,Wx,Ib'),
  ...both('VPMOVMSKB', '66.0F', 'D7 /r', 'Gy,Ux'),
  ['VPHMINPOSUW', 'VEX.128.66.0F38 41 /r', 'Vdq,Wdq', '+avx'],
  ['VPTEST', 'VEX.66.0F38 17 /r', 'Vx,Wx', '+avx'],
  ['VPINSRW', 'VEX.128.66.0F C4 /r', 'Vdq,Hdq,Ry/Mw,Ib', '+avx'],
  ['VPINSRB', 'VEX.128.66.0F3A 20 /r', 'Vdq,Hdq,Ry/Mb,Ib', '+avx'],
  ['VPINSRQ', 'VEX.128.66.0F3A.W1 22 /r', 'Vdq,Hdq,Ey,Ib', 'o64 +avx'],
  ['VPINSRD', 'VEX.128.66.0F3A 22 /r', 'Vdq,Hdq,Ey,Ib', '+avx'],
  ['VPEXTRW', 'VEX.128.66.0F C5 /r', 'Gy,Udq,Ib', '+avx'],
  ['VPEXTRB', 'VEX.128.66.0F3A 14 /r', 'Ry/Mb,Vdq,Ib', '+avx'],
  ['VPEXTRW', 'VEX.128.66.0F3A 15 /r', 'Ry/Mw,Vdq,Ib', '+avx'],
  ['VPEXTRQ', 'VEX.128.66.0F3A.W1 16 /r', 'Ey,Vdq,Ib', 'o64 +avx'],
  ['VPEXTRD', 'VEX.128.66.0F3A 16 /r', 'Ey,Vdq,Ib', '+avx'],
  ['VPCMPESTRM', 'VEX.128.66.0F3A 60 /r', 'XMM0,Vdq,Wdq,Ib', '+avx'],
  ['VPCMPESTRI', 'VEX.128.66.0F3A 61 /r', 'Vdq,Wdq,Ib', '+avx'],
  ['VPCMPISTRM', 'VEX.128.66.0F3A 62 /r', 'XMM0,Vdq,Wdq,Ib', '+avx'],
  ['VPCMPISTRI', 'VEX.128.66.0F3A 63 /r', 'Vdq,Wdq,Ib', '+avx'],
  // New with AVX2.
  ['VPERMD', 'VEX.256.66.0F38.W0 36 /r', 'Vx,Hx,Wx', '+avx2'],
  ['VPERMPS', 'VEX.256.66.0F38.W0 16 /r', 'Vx,Hx,Wx', '+avx2'],
  ['VPERMQ', 'VEX.256.66.0F3A.W1 00 /r', 'Vx,Wx,Ib', '+avx2'],
  ['VPERMPD', 'VEX.256.66.0F3A.W1 01 /r', 'Vx,Wx,Ib', '+avx2'],
  ['VPERM2I128', 'VEX.256.66.0F3A.W0 46 /r', 'Vx,Hx,Wx,Ib', '+avx2'],
  ['VINSERTI128', 'VEX.256.66.0F3A.W0 38 /r', 'Vx,Hx,Wdq,Ib', '+avx2'],
  ['VEXTRACTI128', 'VEX.256.66.0F3A.W0 39 /r', 'Wdq,Vx,Ib', '+avx2'],
  ['VPBLENDD', 'VEX.66.0F3A.W0 02 /r', 'Vx,Hx,Wx,Ib', '+avx2'],
  ['VPSRLVD', 'VEX.66.0F38.W0 45 /r', 'Vx,Hx,Wx', '+avx2'],
  ['VPSRLVQ', 'VEX.66.0F38.W1 45 /r', 'Vx,Hx,Wx', '+avx2'],
  ['VPSRAVD', 'VEX.66.0F38.W0 46 /r', 'Vx,Hx,Wx', '+avx2'],
  ['VPSLLVD', 'VEX.66.0F38.W0 47 /r', 'Vx,Hx,Wx', '+avx2'],
  ['VPSLLVQ', 'VEX.66.0F38.W1 47 /r', 'Vx,Hx,Wx', '+avx2'],
  ['VPBROADCASTD', 'VEX.66.0F38.W0 58 /r', 'Vx,Wd', '+avx2'],
  ['VPBROADCASTQ', 'VEX.66.0F38.W0 59 /r', 'Vx,Wq', '+avx2'],
  ['VBROADCASTI128', 'VEX.256.66.0F38.W0 5A /r', 'Vx,Mdq', '+avx2'],
  ['VPBROADCASTB', 'VEX.66.0F38.W0 78 /r', 'Vx,Wb', '+avx2'],
  ['VPBROADCASTW', 'VEX.66.0F38.W0 79 /r', 'Vx,Ww', '+avx2'],
  ['VPMASKMOVD', 'VEX.66.0F38.W0 8C /r', 'Vx,Hx,Mx', '+avx2'],
  ['VPMASKMOVQ', 'VEX.66.0F38.W1 8C /r', 'Vx,Hx,Mx', '+avx2'],
  ['VPMASKMOVD', 'VEX.66.0F38.W0 8E /r', 'Mx,Hx,Vx', '+avx2'],
  ['VPMASKMOVQ', 'VEX.66.0F38.W1 8E /r', 'Mx,Hx,Vx', '+avx2'],
  // Gathers: the width of the memory operand is that of one element.
  ['VPGATHERDD', 'VEX.66.0F38.W0 90 /r', 'Vx,Md,Hx', 'vsib +avx2'],
  ['VPGATHERDQ', 'VEX.66.0F38.W1 90 /r', 'Vx,Mq,Hx', 'vsib +avx2'],
  ['VPGATHERQD', 'VEX.66.0F38.W0 91 /r', 'Vx2,Md,Hx2', 'vsib +avx2'],
  ['VPGATHERQQ', 'VEX.66.0F38.W1 91 /r', 'Vx,Mq,Hx', 'vsib +avx2'],
  ['VGATHERDPS', 'VEX.66.0F38.W0 92 /r', 'Vx,Md,Hx', 'vsib +avx2'],
  ['VGATHERDPD', 'VEX.66.0F38.W1 92 /r', 'Vx,Mq,Hx', 'vsib +avx2'],
  ['VGATHERQPS', 'VEX.66.0F38.W0 93 /r', 'Vx2,Md,Hx2', 'vsib +avx2'],
  ['VGATHERQPD', 'VEX.66.0F38.W1 93 /r', 'Vx,Mq,Hx', 'vsib +avx2'],
  ['VPDPBUSD', 'VEX.66.0F38.W0 50 /r', 'Vx,Hx,Wx', '+avx-vnni'],
  ['VPDPBUSDS', 'VEX.66.0F38.W0 51 /r', 'Vx,Hx,Wx', '+avx-vnni'],
  ['VPDPWSSD', 'VEX.66.0F38.W0 52 /r', 'Vx,Hx,Wx', '+avx-vnni'],
  ['VPDPWSSDS', 'VEX.66.0F38.W0 53 /r', 'Vx,Hx,Wx', '+avx-vnni'],
  ['VPMADD52LUQ', 'VEX.66.0F38.W1 B4 /r', 'Vx,Hx,Wx', '+avx-ifma'],
  ['VPMADD52HUQ', 'VEX.66.0F38.W1 B5 /r', 'Vx,Hx,Wx', '+avx-ifma'],
];
