// AVX-512 integers: arithmetic, comparison into masks, permutation, conversion of width. SDM Vol. 2.
import type { Row } from '../row.ts';
import { byteWord, doubleQuad, evex, pair, plainPair } from './rows.ts';

/** Bytes and words of map 0F with 66, two sources, W ignored, no broadcast. */
const bytesAndWords0F = [
  ['VPUNPCKLBW', '60'], ['VPUNPCKLWD', '61'], ['VPACKSSWB', '63'], ['VPACKUSWB', '67'], ['VPUNPCKHBW', '68'], ['VPUNPCKHWD', '69'],
  ['VPMULLW', 'D5'], ['VPSUBUSB', 'D8'], ['VPSUBUSW', 'D9'], ['VPMINUB', 'DA'], ['VPADDUSB', 'DC'], ['VPADDUSW', 'DD'], ['VPMAXUB', 'DE'],
  ['VPAVGB', 'E0'], ['VPAVGW', 'E3'], ['VPMULHUW', 'E4'], ['VPMULHW', 'E5'], ['VPSUBSB', 'E8'], ['VPSUBSW', 'E9'], ['VPMINSW', 'EA'],
  ['VPADDSB', 'EC'], ['VPADDSW', 'ED'], ['VPMAXSW', 'EE'], ['VPMADDWD', 'F5'], ['VPSUBB', 'F8'], ['VPSUBW', 'F9'], ['VPADDB', 'FC'], ['VPADDW', 'FD'],
] as const;
const bytesAndWords0F38 = [
  ['VPSHUFB', '00'], ['VPMADDUBSW', '04'], ['VPMULHRSW', '0B'], ['VPMINSB', '38'], ['VPMINUW', '3A'], ['VPMAXSB', '3C'], ['VPMAXUW', '3E'],
] as const;
/** Map, opcode, W of operations that broadcast; W0 32 bits, W1 64 bits. */
const broadcasting = [
  ['VPUNPCKLDQ', '0F', '62', 0], ['VPUNPCKHDQ', '0F', '6A', 0], ['VPUNPCKLQDQ', '0F', '6C', 1], ['VPUNPCKHQDQ', '0F', '6D', 1],
  ['VPADDQ', '0F', 'D4', 1], ['VPMULUDQ', '0F', 'F4', 1], ['VPSUBD', '0F', 'FA', 0], ['VPSUBQ', '0F', 'FB', 1], ['VPADDD', '0F', 'FE', 0],
  ['VPMULDQ', '0F38', '28', 1],
] as const;
const broadcastingPairs0F38 = [
  ['VPRORV', '14'], ['VPROLV', '15'], ['VPMINS', '39'], ['VPMINU', '3B'], ['VPMAXS', '3D'], ['VPMAXU', '3F'],
  ['VPSRLV', '45'], ['VPSRAV', '46'], ['VPSLLV', '47'], ['VPBLENDM', '64'], ['VPERMI2', '76'], ['VPERMT2', '7E'],
] as const;
/** Narrowing moves: F3 0F38, the part of the source that is left, by low digit. */
const narrowing = [['WB', 0, 'x2', 'bw'], ['DB', 1, 'x4', 'f'], ['QB', 2, 'x8', 'f'], ['DW', 3, 'x2', 'f'], ['QW', 4, 'x4', 'f'], ['QD', 5, 'x2', 'f']] as const;
const extensions = [['BW', 0, 'x2', 'bw'], ['BD', 1, 'x4', 'f'], ['BQ', 2, 'x8', 'f'], ['WD', 3, 'x2', 'f'], ['WQ', 4, 'x4', 'f']] as const;

const three = 'Vx,Hx,Wx';

export const avx512Integer: readonly Row[] = [
  ...bytesAndWords0F.map(([name, opcode]) => evex(name, '66.0F', opcode, three, 'zero +avx512bw')),
  ...bytesAndWords0F38.map(([name, opcode]) => evex(name, '66.0F38', opcode, three, 'zero +avx512bw')),
  ...broadcasting.map(([name, map, opcode, w]) => evex(name, `66.${map}.W${w}`, opcode, three, `zero b${32 << w} +avx512f`)),
  ...broadcastingPairs0F38.flatMap(([name, opcode]) => pair(doubleQuad(name), '66.0F38', opcode, three, 'zero +avx512f')),
  ...pair(['VPANDD', 'VPANDQ'], '66.0F', 'DB', three, 'zero +avx512f'),
  ...pair(['VPANDND', 'VPANDNQ'], '66.0F', 'DF', three, 'zero +avx512f'),
  ...pair(['VPORD', 'VPORQ'], '66.0F', 'EB', three, 'zero +avx512f'),
  ...pair(['VPXORD', 'VPXORQ'], '66.0F', 'EF', three, 'zero +avx512f'),
  ...pair(['VPMULLD', 'VPMULLQ'], '66.0F38', '40', three, 'zero +avx512f'),
  evex('VPACKSSDW', '66.0F.W0', '6B', three, 'zero b32 +avx512bw'),
  evex('VPACKUSDW', '66.0F38.W0', '2B', three, 'zero b32 +avx512bw'),
  evex('VPSADBW', '66.0F', 'F6', three, '+avx512bw'),
  evex('VPABSB', '66.0F38', '1C', 'Vx,Wx', 'zero +avx512bw'),
  evex('VPABSW', '66.0F38', '1D', 'Vx,Wx', 'zero +avx512bw'),
  evex('VPABSD', '66.0F38.W0', '1E', 'Vx,Wx', 'zero b32 +avx512f'),
  evex('VPABSQ', '66.0F38.W1', '1F', 'Vx,Wx', 'zero b64 +avx512f'),
  // Shifts and rotates.
  ...([['VPSRLW', 'D1', ''], ['VPSRLD', 'D2', '.W0'], ['VPSRLQ', 'D3', '.W1'], ['VPSRAW', 'E1', ''], ['VPSRAD', 'E2', '.W0'], ['VPSRAQ', 'E2', '.W1'],
    ['VPSLLW', 'F1', ''], ['VPSLLD', 'F2', '.W0'], ['VPSLLQ', 'F3', '.W1']] as const)
    .map(([name, opcode, w]) => evex(name, `66.0F${w}`, opcode, 'Vx,Hx,Wdq', `zero +avx512${w ? 'f' : 'bw'}`)),
  ...([['VPSRLW', 2], ['VPSRAW', 4], ['VPSLLW', 6]] as const).map(([name, reg]) => evex(name, '66.0F', `71 /${reg}`, 'Hx,Wx,Ib', 'zero +avx512bw')),
  ...([['VPROR', 0], ['VPROL', 1], ['VPSRA', 4]] as const).flatMap(([name, reg]) => pair(doubleQuad(name), '66.0F', `72 /${reg}`, 'Hx,Wx,Ib', 'zero +avx512f')),
  ...([['VPSRLD', '72 /2', 0], ['VPSLLD', '72 /6', 0], ['VPSRLQ', '73 /2', 1], ['VPSLLQ', '73 /6', 1]] as const)
    .map(([name, opcode, w]) => evex(name, `66.0F.W${w}`, opcode, 'Hx,Wx,Ib', `zero b${32 << w} +avx512f`)),
  evex('VPSRLDQ', '66.0F', '73 /3', 'Hx,Wx,Ib', '+avx512bw'),
  evex('VPSLLDQ', '66.0F', '73 /7', 'Hx,Wx,Ib', '+avx512bw'),
  evex('VPSRLVW', '66.0F38.W1', '10', three, 'zero +avx512bw'),
  evex('VPSRAVW', '66.0F38.W1', '11', three, 'zero +avx512bw'),
  evex('VPSLLVW', '66.0F38.W1', '12', three, 'zero +avx512bw'),
  ...([['VPSHLD', '70', '71'], ['VPSHRD', '72', '73']] as const).flatMap(([name, word, double]) => [
    evex(`${name}VW`, '66.0F38.W1', word, three, 'zero +avx512vbmi2'), evex(`${name}W`, '66.0F3A.W1', word, `${three},Ib`, 'zero +avx512vbmi2'),
    ...pair(doubleQuad(`${name}V`), '66.0F38', double, three, 'zero +avx512vbmi2'),
    ...pair(doubleQuad(name), '66.0F3A', double, `${three},Ib`, 'zero +avx512vbmi2'),
  ]),
  // Comparison and test into a mask.
  ...([['VPCMPGTB', '64'], ['VPCMPGTW', '65'], ['VPCMPEQB', '74'], ['VPCMPEQW', '75']] as const)
    .map(([name, opcode]) => evex(name, '66.0F', opcode, 'Kgq,Hx,Wx', 'mask +avx512bw')),
  evex('VPCMPGTD', '66.0F.W0', '66', 'Kgq,Hx,Wx', 'mask b32 +avx512f'),
  evex('VPCMPEQD', '66.0F.W0', '76', 'Kgq,Hx,Wx', 'mask b32 +avx512f'),
  evex('VPCMPEQQ', '66.0F38.W1', '29', 'Kgq,Hx,Wx', 'mask b64 +avx512f'),
  evex('VPCMPGTQ', '66.0F38.W1', '37', 'Kgq,Hx,Wx', 'mask b64 +avx512f'),
  ...pair(doubleQuad('VPCMPU'), '66.0F3A', '1E', 'Kgq,Hx,Wx,Ib', 'mask +avx512f'),
  ...pair(doubleQuad('VPCMP'), '66.0F3A', '1F', 'Kgq,Hx,Wx,Ib', 'mask +avx512f'),
  ...plainPair(['VPCMPUB', 'VPCMPUW'], '66.0F3A', '3E', 'Kgq,Hx,Wx,Ib', 'mask +avx512bw'),
  ...plainPair(byteWord('VPCMP'), '66.0F3A', '3F', 'Kgq,Hx,Wx,Ib', 'mask +avx512bw'),
  ...([['VPTESTM', '66'], ['VPTESTNM', 'F3']] as const).flatMap(([name, prefix]) => [
    ...plainPair(byteWord(name), `${prefix}.0F38`, '26', 'Kgq,Hx,Wx', 'mask +avx512bw'),
    ...pair(doubleQuad(name), `${prefix}.0F38`, '27', 'Kgq,Hx,Wx', 'mask +avx512f'),
  ]),
  evex('VPSHUFBITQMB', '66.0F38.W0', '8F', 'Kgq,Hx,Wx', 'mask +avx512bitalg'),
  ...pair(doubleQuad('VP2INTERSECT'), 'F2.0F38', '68', 'Kgq,Hx,Wx', '+avx512-vp2intersect'),
  // Permutation, selection, combination.
  evex('VPSHUFD', '66.0F.W0', '70', 'Vx,Wx,Ib', 'zero b32 +avx512f'),
  evex('VPSHUFHW', 'F3.0F', '70', 'Vx,Wx,Ib', 'zero +avx512bw'),
  evex('VPSHUFLW', 'F2.0F', '70', 'Vx,Wx,Ib', 'zero +avx512bw'),
  evex('VPALIGNR', '66.0F3A', '0F', `${three},Ib`, 'zero +avx512bw'),
  ...pair(doubleQuad('VALIGN'), '66.0F3A', '03', `${three},Ib`, 'zero +avx512f'),
  ...pair(doubleQuad('VPTERNLOG'), '66.0F3A', '25', `${three},Ib`, 'zero +avx512f'),
  evex('VDBPSADBW', '66.0F3A.W0', '42', `${three},Ib`, 'zero +avx512bw'),
  ...pair(doubleQuad('VPERM'), '256+.66.0F38', '36', three, 'zero +avx512f'),
  evex('VPERMQ', '256+.66.0F3A.W1', '00', 'Vx,Wx,Ib', 'zero b64 +avx512f'),
  evex('VPERMB', '66.0F38.W0', '8D', three, 'zero +avx512vbmi'),
  evex('VPERMW', '66.0F38.W1', '8D', three, 'zero +avx512bw'),
  ...plainPair(byteWord('VPBLENDM'), '66.0F38', '66', three, 'zero +avx512bw'),
  ...plainPair(byteWord('VPERMI2'), '66.0F38', '75', three, 'zero +avx512vbmi'),
  ...plainPair(byteWord('VPERMT2'), '66.0F38', '7D', three, 'zero +avx512vbmi'),
  ...pair(['VSHUFI32X4', 'VSHUFI64X2'], '256+.66.0F3A', '43', `${three},Ib`, 'zero +avx512f'),
  evex('VPMULTISHIFTQB', '66.0F38.W1', '83', three, 'zero b64 +avx512vbmi'),
  ...pair(doubleQuad('VPCONFLICT'), '66.0F38', 'C4', 'Vx,Wx', 'zero +avx512cd'),
  ...pair(doubleQuad('VPLZCNT'), '66.0F38', '44', 'Vx,Wx', 'zero +avx512cd'),
  ...plainPair(byteWord('VPOPCNT'), '66.0F38', '54', 'Vx,Wx', 'zero +avx512bitalg'),
  ...pair(doubleQuad('VPOPCNT'), '66.0F38', '55', 'Vx,Wx', 'zero +avx512-vpopcntdq'),
  ...([['VPDPBUSD', '50'], ['VPDPBUSDS', '51'], ['VPDPWSSD', '52'], ['VPDPWSSDS', '53']] as const)
    .map(([name, opcode]) => evex(name, '66.0F38.W0', opcode, three, 'zero b32 +avx512vnni')),
  evex('VPMADD52LUQ', '66.0F38.W1', 'B4', three, 'zero b64 +avx512ifma'),
  evex('VPMADD52HUQ', '66.0F38.W1', 'B5', three, 'zero b64 +avx512ifma'),
  // Compression and expansion: the displacement counts elements.
  evex('VPEXPANDB', '66.0F38.W0', '62', 'Vx,Wx', 'zero n8 +avx512vbmi2'),
  evex('VPEXPANDW', '66.0F38.W1', '62', 'Vx,Wx', 'zero n16 +avx512vbmi2'),
  evex('VPCOMPRESSB', '66.0F38.W0', '63', 'Wx,Vx', 'zero n8 +avx512vbmi2'),
  evex('VPCOMPRESSW', '66.0F38.W1', '63', 'Wx,Vx', 'zero n16 +avx512vbmi2'),
  evex('VPEXPANDD', '66.0F38.W0', '89', 'Vx,Wx', 'zero n32 +avx512f'),
  evex('VPEXPANDQ', '66.0F38.W1', '89', 'Vx,Wx', 'zero n64 +avx512f'),
  evex('VPCOMPRESSD', '66.0F38.W0', '8B', 'Wx,Vx', 'zero n32 +avx512f'),
  evex('VPCOMPRESSQ', '66.0F38.W1', '8B', 'Wx,Vx', 'zero n64 +avx512f'),
  // Changes of width.
  ...([['VPMOVUS', 0x10], ['VPMOVS', 0x20], ['VPMOV', 0x30]] as const).flatMap(([name, high]) =>
    narrowing.map(([suffix, low, part, feature]) => evex(name + suffix, 'F3.0F38.W0', (high + low).toString(16), `W${part},Vx`, `zero +avx512${feature}`))),
  ...([['VPMOVSX', 0x20], ['VPMOVZX', 0x30]] as const).flatMap(([name, high]) => [
    ...extensions.map(([suffix, low, part, feature]) => evex(name + suffix, '66.0F38', (high + low).toString(16), `Vx,W${part}`, `zero +avx512${feature}`)),
    evex(`${name}DQ`, '66.0F38.W0', (high + 5).toString(16), 'Vx,Wx2', 'zero +avx512f'),
  ]),
  ...plainPair(['VPMOVM2B', 'VPMOVM2W'], 'F3.0F38', '28', 'Vx,Krq', '+avx512bw'),
  ...plainPair(['VPMOVM2D', 'VPMOVM2Q'], 'F3.0F38', '38', 'Vx,Krq', '+avx512dq'),
  ...plainPair(['VPMOVB2M', 'VPMOVW2M'], 'F3.0F38', '29', 'Kgq,Ux', '+avx512bw'),
  ...plainPair(['VPMOVD2M', 'VPMOVQ2M'], 'F3.0F38', '39', 'Kgq,Ux', '+avx512dq'),
  evex('VPBROADCASTMB2Q', 'F3.0F38.W1', '2A', 'Vx,Krb', '+avx512cd'),
  evex('VPBROADCASTMW2D', 'F3.0F38.W0', '3A', 'Vx,Krw', '+avx512cd'),
  // Single elements.
  evex('VPINSRW', '128.66.0F', 'C4', 'Vdq,Hdq,Ry/Mw,Ib', '+avx512bw'),
  evex('VPINSRB', '128.66.0F3A', '20', 'Vdq,Hdq,Ry/Mb,Ib', '+avx512bw'),
  evex('VPINSRQ', '128.66.0F3A.W1', '22', 'Vdq,Hdq,Ey,Ib', 'o64 +avx512dq'),
  evex('VPINSRD', '128.66.0F3A', '22', 'Vdq,Hdq,Ey,Ib', '+avx512dq'),
  evex('VPEXTRW', '128.66.0F', 'C5', 'Gy,Udq,Ib', '+avx512bw'),
  evex('VPEXTRB', '128.66.0F3A', '14', 'Ry/Mb,Vdq,Ib', '+avx512bw'),
  evex('VPEXTRW', '128.66.0F3A', '15', 'Ry/Mw,Vdq,Ib', '+avx512bw'),
  evex('VPEXTRQ', '128.66.0F3A.W1', '16', 'Ey,Vdq,Ib', 'o64 +avx512dq'),
  evex('VPEXTRD', '128.66.0F3A', '16', 'Ey,Vdq,Ib', '+avx512dq'),
  // Encodings of other extensions with more registers.
  ...([['VAESENC', 'DC'], ['VAESENCLAST', 'DD'], ['VAESDEC', 'DE'], ['VAESDECLAST', 'DF']] as const).map(([name, opcode]) => evex(name, '66.0F38', opcode, three, '+vaes')),
  evex('VPCLMULQDQ', '66.0F3A', '44', `${three},Ib`, '+vpclmulqdq'),
  evex('VGF2P8MULB', '66.0F38.W0', 'CF', three, 'zero +gfni'),
  evex('VGF2P8AFFINEQB', '66.0F3A.W1', 'CE', `${three},Ib`, 'zero b64 +gfni'),
  evex('VGF2P8AFFINEINVQB', '66.0F3A.W1', 'CF', `${three},Ib`, 'zero b64 +gfni'),
];
