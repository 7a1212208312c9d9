// AES, carry-less multiplication and GFNI in the VEX encoding; 256 bits are VAES and VPCLMULQDQ. APM Vol. 4; SDM Vol. 2.
import type { Row } from '../row.ts';

const rounds: readonly (readonly [name: string, opcode: string])[] = [['AESENC', 'DC'], ['AESENCLAST', 'DD'], ['AESDEC', 'DE'], ['AESDECLAST', 'DF']];

export const avxCrypto: readonly Row[] = [
  ...rounds.flatMap(([name, opcode]): Row[] => [
    [`V${name}`, `VEX.128.66.0F38 ${opcode} /r`, 'Vx,Hx,Wx', '+aes +avx'],
    [`V${name}`, `VEX.256.66.0F38 ${opcode} /r`, 'Vx,Hx,Wx', '+vaes +avx'],
  ]),
  ['VAESIMC', 'VEX.128.66.0F38 DB /r', 'Vdq,Wdq', '+aes +avx'],
  ['VAESKEYGENASSIST', 'VEX.128.66.0F3A DF /r', 'Vdq,Wdq,Ib', '+aes +avx'],
  ['VPCLMULQDQ', 'VEX.128.66.0F3A 44 /r', 'Vx,Hx,Wx,Ib', '+pclmulqdq +avx'],
  ['VPCLMULQDQ', 'VEX.256.66.0F3A 44 /r', 'Vx,Hx,Wx,Ib', '+vpclmulqdq +avx'],
  ['VGF2P8MULB', 'VEX.66.0F38.W0 CF /r', 'Vx,Hx,Wx', '+gfni +avx'],
  ['VGF2P8AFFINEQB', 'VEX.66.0F3A.W1 CE /r', 'Vx,Hx,Wx,Ib', '+gfni +avx'],
  ['VGF2P8AFFINEINVQB', 'VEX.66.0F3A.W1 CF /r', 'Vx,Hx,Wx,Ib', '+gfni +avx'],
];
