// Floating point in the VEX encoding. What also exists without VEX is derived from the lists of `sse/float.ts`; scalar operations take
// the rest of the vector from their first source. APM Vol. 4.
import type { Row } from '../row.ts';
import { horizontal, kinds, operations } from '../sse/float.ts';

const derived = ({ name, opcode, suffixes, immediate, oneSource }: (typeof operations)[number]): Row[] =>
  kinds.filter(kind => suffixes.split(' ').includes(kind.suffix)).map((kind): Row => {
    const operands = kind.scalar ? `Vdq,Hdq,W${kind.size}` : oneSource ? 'Vx,Wx' : 'Vx,Hx,Wx';
    return [`V${name}${kind.suffix}`, `VEX.${kind.prefix}.0F ${opcode} /r`, operands + (immediate ? ',Ib' : ''), '+avx'];
  });

export const avxFloat: readonly Row[] = [
  ...operations.flatMap(derived),
  ...horizontal.flatMap(([name, opcode]): Row[] => [
    [`V${name}PD`, `VEX.66.0F ${opcode} /r`, 'Vx,Hx,Wx', '+avx'],
    [`V${name}PS`, `VEX.F2.0F ${opcode} /r`, 'Vx,Hx,Wx', '+avx'],
  ]),
  ['VUCOMISS', 'VEX.0F 2E /r', 'Vss,Wss', '+avx'],
  ['VUCOMISD', 'VEX.66.0F 2E /r', 'Vsd,Wsd', '+avx'],
  ['VCOMISS', 'VEX.0F 2F /r', 'Vss,Wss', '+avx'],
  ['VCOMISD', 'VEX.66.0F 2F /r', 'Vsd,Wsd', '+avx'],
  ['VCVTSI2SS', 'VEX.F3.0F 2A /r', 'Vdq,Hdq,Ey', '+avx'],
  ['VCVTSI2SD', 'VEX.F2.0F 2A /r', 'Vdq,Hdq,Ey', '+avx'],
  ['VCVTTSS2SI', 'VEX.F3.0F 2C /r', 'Gy,Wss', '+avx'],
  ['VCVTTSD2SI', 'VEX.F2.0F 2C /r', 'Gy,Wsd', '+avx'],
  ['VCVTSS2SI', 'VEX.F3.0F 2D /r', 'Gy,Wss', '+avx'],
  ['VCVTSD2SI', 'VEX.F2.0F 2D /r', 'Gy,Wsd', '+avx'],
  ['VCVTPS2PD', 'VEX.0F 5A /r', 'Vx,Wx2', '+avx'],
  ['VCVTPD2PS', 'VEX.66.0F 5A /r', 'Vx2,Wx', '+avx'],
  ['VCVTSS2SD', 'VEX.F3.0F 5A /r', 'Vdq,Hdq,Wss', '+avx'],
  ['VCVTSD2SS', 'VEX.F2.0F 5A /r', 'Vdq,Hdq,Wsd', '+avx'],
  ['VCVTDQ2PS', 'VEX.0F 5B /r', 'Vx,Wx', '+avx'],
  ['VCVTPS2DQ', 'VEX.66.0F 5B /r', 'Vx,Wx', '+avx'],
  ['VCVTTPS2DQ', 'VEX.F3.0F 5B /r', 'Vx,Wx', '+avx'],
  ['VCVTTPD2DQ', 'VEX.66.0F E6 /r', 'Vx2,Wx', '+avx'],
  ['VCVTDQ2PD', 'VEX.F3.0F E6 /r', 'Vx,Wx2', '+avx'],
  ['VCVTPD2DQ', 'VEX.F2.0F E6 /r', 'Vx2,Wx', '+avx'],
  ['VCVTPH2PS', 'VEX.66.0F38.W0 13 /r', 'Vx,Wx2', '+f16c +avx'],
  ['VCVTPS2PH', 'VEX.66.0F3A.W0 1D /r', 'Wx2,Vx,Ib', '+f16c +avx'],
  ['VMOVMSKPS', 'VEX.0F 50 /r', 'Gy,Ux', '+avx'],
  ['VMOVMSKPD', 'VEX.66.0F 50 /r', 'Gy,Ux', '+avx'],
  ['VBLENDVPS', 'VEX.66.0F3A.W0 4A /r', 'Vx,Hx,Wx,Lx', '+avx'],
  ['VBLENDVPD', 'VEX.66.0F3A.W0 4B /r', 'Vx,Hx,Wx,Lx', '+avx'],
  ['VROUNDPS', 'VEX.66.0F3A 08 /r', 'Vx,Wx,Ib', '+avx'],
  ['VROUNDPD', 'VEX.66.0F3A 09 /r', 'Vx,Wx,Ib', '+avx'],
  ['VROUNDSS', 'VEX.66.0F3A 0A /r', 'Vdq,Hdq,Wss,Ib', '+avx'],
  ['VROUNDSD', 'VEX.66.0F3A 0B /r', 'Vdq,Hdq,Wsd,Ib', '+avx'],
  ['VBLENDPS', 'VEX.66.0F3A 0C /r', 'Vx,Hx,Wx,Ib', '+avx'],
  ['VBLENDPD', 'VEX.66.0F3A 0D /r', 'Vx,Hx,Wx,Ib', '+avx'],
  ['VEXTRACTPS', 'VEX.128.66.0F3A 17 /r', 'Ry/Md,Vdq,Ib', '+avx'],
  ['VINSERTPS', 'VEX.128.66.0F3A 21 /r', 'Vdq,Hdq,Udq/Md,Ib', '+avx'],
  ['VDPPS', 'VEX.66.0F3A 40 /r', 'Vx,Hx,Wx,Ib', '+avx'],
  ['VDPPD', 'VEX.128.66.0F3A 41 /r', 'Vdq,Hdq,Wdq,Ib', '+avx'],
  // New with AVX.
  ['VPERMILPS', 'VEX.66.0F38.W0 0C /r', 'Vx,Hx,Wx', '+avx'],
  ['VPERMILPD', 'VEX.66.0F38.W0 0D /r', 'Vx,Hx,Wx', '+avx'],
  ['VPERMILPS', 'VEX.66.0F3A.W0 04 /r', 'Vx,Wx,Ib', '+avx'],
  ['VPERMILPD', 'VEX.66.0F3A.W0 05 /r', 'Vx,Wx,Ib', '+avx'],
  ['VPERM2F128', 'VEX.256.66.0F3A.W0 06 /r', 'Vx,Hx,Wx,Ib', '+avx'],
  ['VINSERTF128', 'VEX.256.66.0F3A.W0 18 /r', 'Vx,Hx,Wdq,Ib', '+avx'],
  ['VEXTRACTF128', 'VEX.256.66.0F3A.W0 19 /r', 'Wdq,Vx,Ib', '+avx'],
  ['VTESTPS', 'VEX.66.0F38.W0 0E /r', 'Vx,Wx', '+avx'],
  ['VTESTPD', 'VEX.66.0F38.W0 0F /r', 'Vx,Wx', '+avx'],
];
