// XOP and LWP (AMD Bulldozer), and VPERMIL2 which came with them in the VEX space. Four-operand forms exchange their last two sources by
// W. APM Vol. 4 and Vol. 3.
import type { Row } from '../row.ts';

const row = (mnemonic: string, map: 'X8' | 'X9', opcode: number, operands: string, w = 'W0', length = 'LZ'): Row =>
  [mnemonic, `XOP.${length}.${map}.${w} ${opcode.toString(16)} /r`, operands, '+xop'];
const integers = ['B', 'W', 'D', 'Q'];

/** Multiply and accumulate: the third source is in the immediate. */
const multiplyAccumulate: readonly (readonly [name: string, opcode: number])[] = [
  ['VPMACSSWW', 0x85], ['VPMACSSWD', 0x86], ['VPMACSSDQL', 0x87], ['VPMACSSDD', 0x8e], ['VPMACSSDQH', 0x8f],
  ['VPMACSWW', 0x95], ['VPMACSWD', 0x96], ['VPMACSDQL', 0x97], ['VPMACSDD', 0x9e], ['VPMACSDQH', 0x9f], ['VPMADCSSWD', 0xa6], ['VPMADCSWD', 0xb6],
];
const horizontal: readonly (readonly [name: string, opcode: number])[] = [
  ['VPHADDBW', 0xc1], ['VPHADDBD', 0xc2], ['VPHADDBQ', 0xc3], ['VPHADDWD', 0xc6], ['VPHADDWQ', 0xc7], ['VPHADDDQ', 0xcb],
  ['VPHADDUBW', 0xd1], ['VPHADDUBD', 0xd2], ['VPHADDUBQ', 0xd3], ['VPHADDUWD', 0xd6], ['VPHADDUWQ', 0xd7], ['VPHADDUDQ', 0xdb],
  ['VPHSUBBW', 0xe1], ['VPHSUBWD', 0xe2], ['VPHSUBDQ', 0xe3],
];
const shifts: readonly (readonly [name: string, opcode: number])[] = [['VPROT', 0x90], ['VPSHL', 0x94], ['VPSHA', 0x98]];

export const xop: readonly Row[] = [
  ...multiplyAccumulate.map(([name, opcode]) => row(name, 'X8', opcode, 'Vdq,Hdq,Wdq,Ldq')),
  ...['W0', 'W1'].flatMap(w => {
    const sources = w === 'W0' ? (size: string) => `W${size},L${size}` : (size: string) => `L${size},W${size}`;
    return [
      row('VPCMOV', 'X8', 0xa2, `Vx,Hx,${sources('x')}`, w, 'LIG'), row('VPPERM', 'X8', 0xa3, `Vdq,Hdq,${sources('dq')}`, w),
      ['VPERMIL2PS', `VEX.66.0F3A.${w} 48 /r`, `Vx,Hx,${sources('x')},I4`, '+xop'] as Row,
      ['VPERMIL2PD', `VEX.66.0F3A.${w} 49 /r`, `Vx,Hx,${sources('x')},I4`, '+xop'] as Row,
    ];
  }),
  ...integers.flatMap((size, index) => [
    row(`VPROT${size}`, 'X8', 0xc0 + index, 'Vdq,Wdq,Ib'),
    row(`VPCOM${size}`, 'X8', 0xcc + index, 'Vdq,Hdq,Wdq,Ib'), row(`VPCOMU${size}`, 'X8', 0xec + index, 'Vdq,Hdq,Wdq,Ib'),
    ...shifts.flatMap(([name, opcode]) => [
      row(name + size, 'X9', opcode + index, 'Vdq,Wdq,Hdq'), row(name + size, 'X9', opcode + index, 'Vdq,Hdq,Wdq', 'W1'),
    ]),
  ]),
  ...horizontal.map(([name, opcode]) => row(name, 'X9', opcode, 'Vdq,Wdq')),
  row('VFRCZPS', 'X9', 0x80, 'Vx,Wx', 'W0', 'LIG'),
  row('VFRCZPD', 'X9', 0x81, 'Vx,Wx', 'W0', 'LIG'),
  row('VFRCZSS', 'X9', 0x82, 'Vdq,Wss'),
  row('VFRCZSD', 'X9', 0x83, 'Vdq,Wsd'),
  ['LLWPCB', 'XOP.LZ.X9 12 /0', 'Ry', '+lwp'],
  ['SLWPCB', 'XOP.LZ.X9 12 /1', 'Ry', '+lwp'],
  ['LWPINS', 'XOP.LZ.XA 12 /0', 'By,Ed,Id', '+lwp'],
  ['LWPVAL', 'XOP.LZ.XA 12 /1', 'By,Ed,Id', '+lwp'],
];
