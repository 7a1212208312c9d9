// AES, carry-less multiplication, SHA and GFNI in their legacy encoding. APM Vol. 4; SDM Vol. 2.
import type { Row } from '../row.ts';

export const crypto: readonly Row[] = [
  ['AESIMC', '66 0F 38 DB /r', 'Vdq,Wdq', '+aes'],
  ['AESENC', '66 0F 38 DC /r', 'Vdq,Wdq', '+aes'],
  ['AESENCLAST', '66 0F 38 DD /r', 'Vdq,Wdq', '+aes'],
  ['AESDEC', '66 0F 38 DE /r', 'Vdq,Wdq', '+aes'],
  ['AESDECLAST', '66 0F 38 DF /r', 'Vdq,Wdq', '+aes'],
  ['AESKEYGENASSIST', '66 0F 3A DF /r', 'Vdq,Wdq,Ib', '+aes'],
  ['PCLMULQDQ', '66 0F 3A 44 /r', 'Vdq,Wdq,Ib', '+pclmulqdq'],
  ['SHA1NEXTE', 'NP 0F 38 C8 /r', 'Vdq,Wdq', '+sha-ni'],
  ['SHA1MSG1', 'NP 0F 38 C9 /r', 'Vdq,Wdq', '+sha-ni'],
  ['SHA1MSG2', 'NP 0F 38 CA /r', 'Vdq,Wdq', '+sha-ni'],
  ['SHA256RNDS2', 'NP 0F 38 CB /r', 'Vdq,Wdq,XMM0', '+sha-ni'],
  ['SHA256MSG1', 'NP 0F 38 CC /r', 'Vdq,Wdq', '+sha-ni'],
  ['SHA256MSG2', 'NP 0F 38 CD /r', 'Vdq,Wdq', '+sha-ni'],
  ['SHA1RNDS4', 'NP 0F 3A CC /r', 'Vdq,Wdq,Ib', '+sha-ni'],
  ['GF2P8MULB', '66 0F 38 CF /r', 'Vdq,Wdq', '+gfni'],
  ['GF2P8AFFINEQB', '66 0F 3A CE /r', 'Vdq,Wdq,Ib', '+gfni'],
  ['GF2P8AFFINEINVQB', '66 0F 3A CF /r', 'Vdq,Wdq,Ib', '+gfni'],
];
