// AVX512-FP16: half precision in maps 5, 6 and 0F3A. SDM Vol. 2.
import type { Row } from '../row.ts';
import { evex } from './rows.ts';

const feature = '+avx512-fp16';
const three = 'Vx,Hx,Wx', scalarThree = 'Vdq,Hdq,Ww';
const packed = (name: string, fields: string, opcode: string, operands: string, notes: string): Row => evex(name, fields, opcode, operands, `zero b16 ${notes && `${notes} `}${feature}`);
const scalar = (name: string, fields: string, opcode: string, operands: string, notes: string): Row => evex(name, fields, opcode, operands, `zero ${notes && `${notes} `}${feature}`);

const fused = [
  ['VFMADDSUB', 6], ['VFMSUBADD', 7], ['VFMADD', 8], ['VFMSUB', 0xa], ['VFNMADD', 0xc], ['VFNMSUB', 0xe],
] as const;

export const avx512Half: readonly Row[] = [
  ...([['VADD', '58', 'er'], ['VMUL', '59', 'er'], ['VSUB', '5C', 'er'], ['VDIV', '5E', 'er'], ['VMIN', '5D', 'sae'], ['VMAX', '5F', 'sae'], ['VSQRT', '51', 'er']] as const)
    .flatMap(([name, opcode, control]) => [
      packed(`${name}PH`, 'MAP5.W0', opcode, name === 'VSQRT' ? 'Vx,Wx' : three, control), scalar(`${name}SH`, 'F3.MAP5.W0', opcode, scalarThree, control),
    ]),
  ...([['132', 0x90], ['213', 0xa0], ['231', 0xb0]] as const).flatMap(([order, high]) => fused.flatMap(([name, low]) => [
    packed(`${name}${order}PH`, '66.MAP6.W0', (high + low).toString(16), three, 'er'),
    ...(low >= 8 ? [scalar(`${name}${order}SH`, '66.MAP6.W0', (high + low + 1).toString(16), scalarThree, 'er')] : []),
  ])),
  // Complex numbers are pairs: the element is 32 bits.
  ...([['VFMADDC', 'F3', '56', '57'], ['VFCMADDC', 'F2', '56', '57'], ['VFMULC', 'F3', 'D6', 'D7'], ['VFCMULC', 'F2', 'D6', 'D7']] as const).flatMap(([name, prefix, opcode, scalarOpcode]) => [
    evex(`${name}PH`, `${prefix}.MAP6.W0`, opcode, three, `zero b32 er distinct ${feature}`),
    evex(`${name}SH`, `${prefix}.MAP6.W0`, scalarOpcode, 'Vdq,Hdq,Wd', `zero er distinct ${feature}`),
  ]),
  ...([['VGETEXP', '42', '43', 'sae', 'Vx,Wx'], ['VRCP', '4C', '4D', '', 'Vx,Wx'], ['VRSQRT', '4E', '4F', '', 'Vx,Wx'], ['VSCALEF', '2C', '2D', 'er', three]] as const)
    .flatMap(([name, opcode, scalarOpcode, control, operands]) => [
      packed(`${name}PH`, '66.MAP6.W0', opcode, operands, control), scalar(`${name}SH`, '66.MAP6.W0', scalarOpcode, scalarThree, control),
    ]),
  ...([['VGETMANT', '26', '27'], ['VRNDSCALE', '08', '0A'], ['VREDUCE', '56', '57']] as const).flatMap(([name, opcode, scalarOpcode]) => [
    packed(`${name}PH`, '0F3A.W0', opcode, 'Vx,Wx,Ib', 'sae'), scalar(`${name}SH`, '0F3A.W0', scalarOpcode, `${scalarThree},Ib`, 'sae'),
  ]),
  evex('VFPCLASSPH', '0F3A.W0', '66', 'Kgq,Wx,Ib', `mask b16 ${feature}`),
  evex('VFPCLASSSH', '0F3A.W0', '67', 'Kgq,Ww,Ib', `mask ${feature}`),
  evex('VCMPPH', '0F3A.W0', 'C2', 'Kgq,Hx,Wx,Ib', `mask b16 sae ${feature}`),
  evex('VCMPSH', 'F3.0F3A.W0', 'C2', 'Kgq,Hdq,Ww,Ib', `mask sae ${feature}`),
  evex('VUCOMISH', 'MAP5.W0', '2E', 'Vdq,Ww', `sae ${feature}`),
  evex('VCOMISH', 'MAP5.W0', '2F', 'Vdq,Ww', `sae ${feature}`),
  scalar('VMOVSH', 'F3.MAP5.W0', '10', 'Vdq,Hdq,Udq', ''),
  scalar('VMOVSH', 'F3.MAP5.W0', '10', 'Vdq,Mw', ''),
  scalar('VMOVSH', 'F3.MAP5.W0', '11', 'Udq,Hdq,Vdq', ''),
  evex('VMOVSH', 'F3.MAP5.W0', '11', 'Mw,Vdq', `mask ${feature}`),
  evex('VMOVW', '128.66.MAP5', '6E', 'Vdq,Ry/Mw', feature),
  evex('VMOVW', '128.66.MAP5', '7E', 'Ry/Mw,Vdq', feature),
  scalar('VCVTSD2SH', 'F2.MAP5.W1', '5A', 'Vdq,Hdq,Wsd', 'er'),
  scalar('VCVTSH2SD', 'F3.MAP5.W0', '5A', scalarThree, 'sae'),
  scalar('VCVTSS2SH', 'MAP5.W0', '1D', 'Vdq,Hdq,Wss', 'er'),
  scalar('VCVTSH2SS', 'MAP6.W0', '13', scalarThree, 'sae'),
  evex('VCVTSI2SH', 'F3.MAP5', '2A', 'Vdq,Hdq,Ey', `er ${feature}`),
  evex('VCVTUSI2SH', 'F3.MAP5', '7B', 'Vdq,Hdq,Ey', `er ${feature}`),
  ...([['VCVTSH2SI', '2D', 'er'], ['VCVTTSH2SI', '2C', 'sae'], ['VCVTSH2USI', '79', 'er'], ['VCVTTSH2USI', '78', 'sae']] as const)
    .map(([name, opcode, control]) => evex(name, 'F3.MAP5', opcode, 'Gy,Ww', `${control} ${feature}`)),
  ...([
    ['VCVTDQ2PH', 'MAP5.W0', '5B', 'Vx2,Wx', 'b32 er'], ['VCVTQQ2PH', 'MAP5.W1', '5B', 'Vx4,Wx', 'b64 er'],
    ['VCVTPH2DQ', '66.MAP5.W0', '5B', 'Vx,Wx2', 'b16 er'], ['VCVTTPH2DQ', 'F3.MAP5.W0', '5B', 'Vx,Wx2', 'b16 sae'],
    ['VCVTPH2PD', 'MAP5.W0', '5A', 'Vx,Wx4', 'b16 sae'], ['VCVTPD2PH', '66.MAP5.W1', '5A', 'Vx4,Wx', 'b64 er'],
    ['VCVTPH2PSX', '66.MAP6.W0', '13', 'Vx,Wx2', 'b16 sae'], ['VCVTPS2PHX', '66.MAP5.W0', '1D', 'Vx2,Wx', 'b32 er'],
    ['VCVTPH2UDQ', 'MAP5.W0', '79', 'Vx,Wx2', 'b16 er'], ['VCVTTPH2UDQ', 'MAP5.W0', '78', 'Vx,Wx2', 'b16 sae'],
    ['VCVTPH2UQQ', '66.MAP5.W0', '79', 'Vx,Wx4', 'b16 er'], ['VCVTTPH2UQQ', '66.MAP5.W0', '78', 'Vx,Wx4', 'b16 sae'],
    ['VCVTPH2QQ', '66.MAP5.W0', '7B', 'Vx,Wx4', 'b16 er'], ['VCVTTPH2QQ', '66.MAP5.W0', '7A', 'Vx,Wx4', 'b16 sae'],
    ['VCVTPH2W', '66.MAP5.W0', '7D', 'Vx,Wx', 'b16 er'], ['VCVTTPH2W', '66.MAP5.W0', '7C', 'Vx,Wx', 'b16 sae'],
    ['VCVTPH2UW', 'MAP5.W0', '7D', 'Vx,Wx', 'b16 er'], ['VCVTTPH2UW', 'MAP5.W0', '7C', 'Vx,Wx', 'b16 sae'],
    ['VCVTUDQ2PH', 'F2.MAP5.W0', '7A', 'Vx2,Wx', 'b32 er'], ['VCVTUQQ2PH', 'F2.MAP5.W1', '7A', 'Vx4,Wx', 'b64 er'],
    ['VCVTUW2PH', 'F2.MAP5.W0', '7D', 'Vx,Wx', 'b16 er'], ['VCVTW2PH', 'F3.MAP5.W0', '7D', 'Vx,Wx', 'b16 er'],
  ] as const).map(([name, fields, opcode, operands, notes]) => evex(name, fields, opcode, operands, `zero ${notes} ${feature}`)),
];
