// Floating point on vectors: SSE to SSE4.1 in their legacy encoding. Operations that exist as packed and scalar, single and double, are
// stated once; `avx/float.ts` reads the same lists. APM Vol. 4.
import type { Row } from '../row.ts';

/** Single packed, double packed, single scalar, double scalar: prefix, suffix, size, feature. */
export const kinds = [
  { prefix: 'NP', suffix: 'PS', scalar: false, size: 'dq', feature: 'sse' },
  { prefix: '66', suffix: 'PD', scalar: false, size: 'dq', feature: 'sse2' },
  { prefix: 'F3', suffix: 'SS', scalar: true, size: 'ss', feature: 'sse' },
  { prefix: 'F2', suffix: 'SD', scalar: true, size: 'sd', feature: 'sse2' },
] as const;

/** Map 0F: which of the four kinds exist, and whether an immediate follows. VEX adds a source to all but those of one source. */
export const operations: readonly { name: string; opcode: string; suffixes: string; immediate?: true; oneSource?: true }[] = [
  { name: 'UNPCKL', opcode: '14', suffixes: 'PS PD' },
  { name: 'UNPCKH', opcode: '15', suffixes: 'PS PD' },
  { name: 'SQRT', opcode: '51', suffixes: 'PS PD SS SD', oneSource: true },
  { name: 'RSQRT', opcode: '52', suffixes: 'PS SS', oneSource: true },
  { name: 'RCP', opcode: '53', suffixes: 'PS SS', oneSource: true },
  { name: 'AND', opcode: '54', suffixes: 'PS PD' },
  { name: 'ANDN', opcode: '55', suffixes: 'PS PD' },
  { name: 'OR', opcode: '56', suffixes: 'PS PD' },
  { name: 'XOR', opcode: '57', suffixes: 'PS PD' },
  { name: 'ADD', opcode: '58', suffixes: 'PS PD SS SD' },
  { name: 'MUL', opcode: '59', suffixes: 'PS PD SS SD' },
  { name: 'SUB', opcode: '5C', suffixes: 'PS PD SS SD' },
  { name: 'MIN', opcode: '5D', suffixes: 'PS PD SS SD' },
  { name: 'DIV', opcode: '5E', suffixes: 'PS PD SS SD' },
  { name: 'MAX', opcode: '5F', suffixes: 'PS PD SS SD' },
  { name: 'CMP', opcode: 'C2', suffixes: 'PS PD SS SD', immediate: true },
  { name: 'SHUF', opcode: 'C6', suffixes: 'PS PD', immediate: true },
];

/** SSE3: double with 66, single with F2. */
export const horizontal: readonly (readonly [name: string, opcode: string])[] = [['HADD', '7C'], ['HSUB', '7D'], ['ADDSUB', 'D0']];

export const float: readonly Row[] = [
  ...operations.flatMap(({ name, opcode, suffixes, immediate }) => kinds.filter(kind => suffixes.split(' ').includes(kind.suffix)).map((kind): Row =>
    [name + kind.suffix, `${kind.prefix} 0F ${opcode} /r`, `V${kind.size},W${kind.size}${immediate ? ',Ib' : ''}`, `+${kind.feature}`])),
  ...horizontal.flatMap(([name, opcode]): Row[] => [
    [`${name}PD`, `66 0F ${opcode} /r`, 'Vdq,Wdq', '+pni'],
    [`${name}PS`, `F2 0F ${opcode} /r`, 'Vdq,Wdq', '+pni'],
  ]),
  ['UCOMISS', 'NP 0F 2E /r', 'Vss,Wss', '+sse'],
  ['UCOMISD', '66 0F 2E /r', 'Vsd,Wsd', '+sse2'],
  ['COMISS', 'NP 0F 2F /r', 'Vss,Wss', '+sse'],
  ['COMISD', '66 0F 2F /r', 'Vsd,Wsd', '+sse2'],
  ['CVTPI2PS', 'NP 0F 2A /r', 'Vq,Qq', '+sse'],
  ['CVTPI2PD', '66 0F 2A /r', 'Vdq,Qq', '+sse2'],
  ['CVTSI2SS', 'F3 0F 2A /r', 'Vss,Ey', '+sse'],
  ['CVTSI2SD', 'F2 0F 2A /r', 'Vsd,Ey', '+sse2'],
  ['CVTTPS2PI', 'NP 0F 2C /r', 'Pq,Wq', '+sse'],
  ['CVTTPD2PI', '66 0F 2C /r', 'Pq,Wdq', '+sse2'],
  ['CVTTSS2SI', 'F3 0F 2C /r', 'Gy,Wss', '+sse'],
  ['CVTTSD2SI', 'F2 0F 2C /r', 'Gy,Wsd', '+sse2'],
  ['CVTPS2PI', 'NP 0F 2D /r', 'Pq,Wq', '+sse'],
  ['CVTPD2PI', '66 0F 2D /r', 'Pq,Wdq', '+sse2'],
  ['CVTSS2SI', 'F3 0F 2D /r', 'Gy,Wss', '+sse'],
  ['CVTSD2SI', 'F2 0F 2D /r', 'Gy,Wsd', '+sse2'],
  ['CVTPS2PD', 'NP 0F 5A /r', 'Vdq,Wq', '+sse2'],
  ['CVTPD2PS', '66 0F 5A /r', 'Vdq,Wdq', '+sse2'],
  ['CVTSS2SD', 'F3 0F 5A /r', 'Vsd,Wss', '+sse2'],
  ['CVTSD2SS', 'F2 0F 5A /r', 'Vss,Wsd', '+sse2'],
  ['CVTDQ2PS', 'NP 0F 5B /r', 'Vdq,Wdq', '+sse2'],
  ['CVTPS2DQ', '66 0F 5B /r', 'Vdq,Wdq', '+sse2'],
  ['CVTTPS2DQ', 'F3 0F 5B /r', 'Vdq,Wdq', '+sse2'],
  ['CVTTPD2DQ', '66 0F E6 /r', 'Vdq,Wdq', '+sse2'],
  ['CVTDQ2PD', 'F3 0F E6 /r', 'Vdq,Wq', '+sse2'],
  ['CVTPD2DQ', 'F2 0F E6 /r', 'Vdq,Wdq', '+sse2'],
  ['MOVMSKPS', 'NP 0F 50 /r', 'Gy,Udq', '+sse'],
  ['MOVMSKPD', '66 0F 50 /r', 'Gy,Udq', '+sse2'],
  ['BLENDVPS', '66 0F 38 14 /r', 'Vdq,Wdq,XMM0', '+sse4.1'],
  ['BLENDVPD', '66 0F 38 15 /r', 'Vdq,Wdq,XMM0', '+sse4.1'],
  ['ROUNDPS', '66 0F 3A 08 /r', 'Vdq,Wdq,Ib', '+sse4.1'],
  ['ROUNDPD', '66 0F 3A 09 /r', 'Vdq,Wdq,Ib', '+sse4.1'],
  ['ROUNDSS', '66 0F 3A 0A /r', 'Vss,Wss,Ib', '+sse4.1'],
  ['ROUNDSD', '66 0F 3A 0B /r', 'Vsd,Wsd,Ib', '+sse4.1'],
  ['BLENDPS', '66 0F 3A 0C /r', 'Vdq,Wdq,Ib', '+sse4.1'],
  ['BLENDPD', '66 0F 3A 0D /r', 'Vdq,Wdq,Ib', '+sse4.1'],
  ['EXTRACTPS', '66 0F 3A 17 /r', 'Ry/Md,Vdq,Ib', '+sse4.1'],
  ['INSERTPS', '66 0F 3A 21 /r', 'Vdq,Udq/Md,Ib', '+sse4.1'],
  ['DPPS', '66 0F 3A 40 /r', 'Vdq,Wdq,Ib', '+sse4.1'],
  ['DPPD', '66 0F 3A 41 /r', 'Vdq,Wdq,Ib', '+sse4.1'],
];
