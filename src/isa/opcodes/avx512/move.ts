// AVX-512 moves: whole vectors under a mask, broadcasts, parts of vectors, gathers and scatters. SDM Vol. 2.
import type { Row } from '../row.ts';
import { doubleQuad, evex, plainPair, singleDouble } from './rows.ts';

/** A move in both directions: load and store opcodes. */
const bothWays = (name: string, fields: string, load: string, store: string, feature = 'avx512f'): Row[] => [
  evex(name, fields, load, 'Vx,Wx', `zero +${feature}`), evex(name, fields, store, 'Wx,Vx', `zero +${feature}`),
];
const scalar = (name: string, fields: string, size: string): Row[] => [
  evex(name, fields, '10', 'Vdq,Hdq,Udq', 'zero +avx512f'), evex(name, fields, '10', `Vdq,M${size}`, 'zero +avx512f'),
  evex(name, fields, '11', 'Udq,Hdq,Vdq', 'zero +avx512f'), evex(name, fields, '11', `M${size},Vdq`, 'mask +avx512f'),
];

export const avx512Move: readonly Row[] = [
  ...bothWays('VMOVUPS', '0F.W0', '10', '11'), ...bothWays('VMOVUPD', '66.0F.W1', '10', '11'),
  ...bothWays('VMOVAPS', '0F.W0', '28', '29'), ...bothWays('VMOVAPD', '66.0F.W1', '28', '29'),
  ...bothWays('VMOVDQA32', '66.0F.W0', '6F', '7F'), ...bothWays('VMOVDQA64', '66.0F.W1', '6F', '7F'),
  ...bothWays('VMOVDQU32', 'F3.0F.W0', '6F', '7F'), ...bothWays('VMOVDQU64', 'F3.0F.W1', '6F', '7F'),
  ...bothWays('VMOVDQU8', 'F2.0F.W0', '6F', '7F', 'avx512bw'), ...bothWays('VMOVDQU16', 'F2.0F.W1', '6F', '7F', 'avx512bw'),
  ...scalar('VMOVSS', 'F3.0F.W0', 'd'), ...scalar('VMOVSD', 'F2.0F.W1', 'q'),
  evex('VMOVHLPS', '128.0F.W0', '12', 'Vdq,Hdq,Udq', '+avx512f'),
  evex('VMOVLPS', '128.0F.W0', '12', 'Vdq,Hdq,Mq', '+avx512f'),
  evex('VMOVLPD', '128.66.0F.W1', '12', 'Vdq,Hdq,Mq', '+avx512f'),
  evex('VMOVLPS', '128.0F.W0', '13', 'Mq,Vdq', '+avx512f'),
  evex('VMOVLPD', '128.66.0F.W1', '13', 'Mq,Vdq', '+avx512f'),
  evex('VMOVLHPS', '128.0F.W0', '16', 'Vdq,Hdq,Udq', '+avx512f'),
  evex('VMOVHPS', '128.0F.W0', '16', 'Vdq,Hdq,Mq', '+avx512f'),
  evex('VMOVHPD', '128.66.0F.W1', '16', 'Vdq,Hdq,Mq', '+avx512f'),
  evex('VMOVHPS', '128.0F.W0', '17', 'Mq,Vdq', '+avx512f'),
  evex('VMOVHPD', '128.66.0F.W1', '17', 'Mq,Vdq', '+avx512f'),
  evex('VMOVSLDUP', 'F3.0F.W0', '12', 'Vx,Wx', 'zero +avx512f'),
  evex('VMOVSHDUP', 'F3.0F.W0', '16', 'Vx,Wx', 'zero +avx512f'),
  evex('VMOVDDUP', '128.F2.0F.W1', '12', 'Vdq,Wq', 'zero +avx512f'),
  evex('VMOVDDUP', '256+.F2.0F.W1', '12', 'Vx,Wx', 'zero +avx512f'),
  evex('VMOVNTPS', '0F.W0', '2B', 'Mx,Vx', '+avx512f'),
  evex('VMOVNTPD', '66.0F.W1', '2B', 'Mx,Vx', '+avx512f'),
  evex('VMOVNTDQ', '66.0F.W0', 'E7', 'Mx,Vx', '+avx512f'),
  evex('VMOVNTDQA', '66.0F38.W0', '2A', 'Vx,Mx', '+avx512f'),
  evex('VMOVQ', '128.66.0F.W1', '6E', 'Vdq,Ey', 'o64 +avx512f'),
  evex('VMOVD', '128.66.0F', '6E', 'Vdq,Ey', '+avx512f'),
  evex('VMOVQ', '128.66.0F.W1', '7E', 'Ey,Vdq', 'o64 +avx512f'),
  evex('VMOVD', '128.66.0F', '7E', 'Ey,Vdq', '+avx512f'),
  evex('VMOVQ', '128.F3.0F.W1', '7E', 'Vdq,Wq', '+avx512f'),
  evex('VMOVQ', '128.66.0F.W1', 'D6', 'Wq,Vdq', '+avx512f'),
  // Broadcasts.
  evex('VBROADCASTSS', '66.0F38.W0', '18', 'Vx,Wd', 'zero +avx512f'),
  evex('VBROADCASTF32X2', '256+.66.0F38.W0', '19', 'Vx,Wq', 'zero +avx512dq'),
  evex('VBROADCASTSD', '256+.66.0F38.W1', '19', 'Vx,Wq', 'zero +avx512f'),
  ...plainPair(['VBROADCASTF32X4', 'VBROADCASTF64X2'], '256+.66.0F38', '1A', 'Vx,Mdq', 'zero +avx512f'),
  ...plainPair(['VBROADCASTF32X8', 'VBROADCASTF64X4'], '512.66.0F38', '1B', 'Vx,Mqq', 'zero +avx512f'),
  evex('VPBROADCASTD', '66.0F38.W0', '58', 'Vx,Wd', 'zero +avx512f'),
  evex('VBROADCASTI32X2', '66.0F38.W0', '59', 'Vx,Wq', 'zero +avx512dq'),
  evex('VPBROADCASTQ', '66.0F38.W1', '59', 'Vx,Wq', 'zero +avx512f'),
  ...plainPair(['VBROADCASTI32X4', 'VBROADCASTI64X2'], '256+.66.0F38', '5A', 'Vx,Mdq', 'zero +avx512f'),
  ...plainPair(['VBROADCASTI32X8', 'VBROADCASTI64X4'], '512.66.0F38', '5B', 'Vx,Mqq', 'zero +avx512f'),
  evex('VPBROADCASTB', '66.0F38.W0', '78', 'Vx,Wb', 'zero +avx512bw'),
  evex('VPBROADCASTW', '66.0F38.W0', '79', 'Vx,Ww', 'zero +avx512bw'),
  evex('VPBROADCASTB', '66.0F38.W0', '7A', 'Vx,Rd', 'zero +avx512bw'),
  evex('VPBROADCASTW', '66.0F38.W0', '7B', 'Vx,Rd', 'zero +avx512bw'),
  evex('VPBROADCASTQ', '66.0F38.W1', '7C', 'Vx,Rq', 'zero o64 +avx512f'),
  evex('VPBROADCASTD', '66.0F38', '7C', 'Vx,Rd', 'zero +avx512f'),
  // Parts of a vector.
  ...([['VINSERTF', '18', '1A'], ['VINSERTI', '38', '3A']] as const).flatMap(([name, quarter, half]) => [
    ...plainPair([`${name}32X4`, `${name}64X2`], '256+.66.0F3A', quarter, 'Vx,Hx,Wdq,Ib', 'zero +avx512f'),
    ...plainPair([`${name}32X8`, `${name}64X4`], '512.66.0F3A', half, 'Vx,Hx,Wqq,Ib', 'zero +avx512f'),
  ]),
  ...([['VEXTRACTF', '19', '1B'], ['VEXTRACTI', '39', '3B']] as const).flatMap(([name, quarter, half]) => [
    ...plainPair([`${name}32X4`, `${name}64X2`], '256+.66.0F3A', quarter, 'Wdq,Vx,Ib', 'zero +avx512f'),
    ...plainPair([`${name}32X8`, `${name}64X4`], '512.66.0F3A', half, 'Wqq,Vx,Ib', 'zero +avx512f'),
  ]),
  // Gathers and scatters: a mask is needed, the width is that of one element.
  ...([['VPGATHERD', '90'], ['VPGATHERQ', '91']] as const).flatMap(([name, opcode]) => vectorIndexed(doubleQuad(name), opcode, true)),
  ...([['VGATHERD', '92'], ['VGATHERQ', '93']] as const).flatMap(([name, opcode]) => vectorIndexed(singleDouble(name), opcode, true)),
  ...([['VPSCATTERD', 'A0'], ['VPSCATTERQ', 'A1']] as const).flatMap(([name, opcode]) => vectorIndexed(doubleQuad(name), opcode, false)),
  ...([['VSCATTERD', 'A2'], ['VSCATTERQ', 'A3']] as const).flatMap(([name, opcode]) => vectorIndexed(singleDouble(name), opcode, false)),
  ...([['VGATHERPF0', 1], ['VGATHERPF1', 2], ['VSCATTERPF0', 5], ['VSCATTERPF1', 6]] as const).flatMap(([name, reg]) => ['D', 'Q'].flatMap(index => [
    evex(`${name}${index}PS`, '512.66.0F38.W0', `${index === 'D' ? 'C6' : 'C7'} /${reg}`, 'Md', 'mask needmask vsib +avx512pf'),
    evex(`${name}${index}PD`, '512.66.0F38.W1', `${index === 'D' ? 'C6' : 'C7'} /${reg}`, 'Mq', 'mask needmask vsib +avx512pf'),
  ])),
];

function vectorIndexed(names: readonly [string, string], opcode: string, gather: boolean): Row[] {
  const operands = (size: string): string => gather ? `Vx,M${size}` : `M${size},Vx`;
  return [
    evex(names[0], '66.0F38.W0', opcode, operands('d'), 'mask needmask vsib +avx512f'),
    evex(names[1], '66.0F38.W1', opcode, operands('q'), 'mask needmask vsib +avx512f'),
  ];
}
