// Fused multiply-add: FMA3 (three operands, in three orders) and FMA4 (four operands). W chooses single or double. APM Vol. 4.
import type { Row } from '../row.ts';

/** The low digit of the opcode of FMA3. */
const operations: readonly (readonly [name: string, low: number, scalar: boolean])[] = [
  ['FMADDSUB', 6, false], ['FMSUBADD', 7, false], ['FMADD', 8, false], ['FMADD', 9, true], ['FMSUB', 0xa, false], ['FMSUB', 0xb, true],
  ['FNMADD', 0xc, false], ['FNMADD', 0xd, true], ['FNMSUB', 0xe, false], ['FNMSUB', 0xf, true],
];
/** The high digit: which operands are multiplied, and which is added. */
const orders: readonly (readonly [order: string, high: number])[] = [['132', 0x90], ['213', 0xa0], ['231', 0xb0]];

const fma3 = orders.flatMap(([order, high]) => operations.flatMap(([name, low, scalar]): Row[] => {
  const opcode = (high + low).toString(16);
  return [
    [`V${name}${order}${scalar ? 'SS' : 'PS'}`, `VEX.66.0F38.W0 ${opcode} /r`, scalar ? 'Vdq,Hdq,Wss' : 'Vx,Hx,Wx', '+fma'],
    [`V${name}${order}${scalar ? 'SD' : 'PD'}`, `VEX.66.0F38.W1 ${opcode} /r`, scalar ? 'Vdq,Hdq,Wsd' : 'Vx,Hx,Wx', '+fma'],
  ];
}));

const packedOperands = (size: string): readonly [string, string] => [`Vx,Hx,W${size},Lx`, `Vx,Hx,Lx,W${size}`];
const scalarOperands = (size: string): readonly [string, string] => [`Vdq,Hdq,W${size},Ldq`, `Vdq,Hdq,Ldq,W${size}`];
/** W exchanges the last two sources. */
const fma4Row = (mnemonic: string, opcode: number, [memoryThird, memoryFourth]: readonly [string, string]): Row[] => [
  [mnemonic, `VEX.66.0F3A.W0 ${opcode.toString(16)} /r`, memoryThird, '+fma4'],
  [mnemonic, `VEX.66.0F3A.W1 ${opcode.toString(16)} /r`, memoryFourth, '+fma4'],
];
const fma4 = [
  ...([['FMADDSUB', 0x5c], ['FMSUBADD', 0x5e]] as const).flatMap(([name, opcode]) =>
    [...fma4Row(`V${name}PS`, opcode, packedOperands('x')), ...fma4Row(`V${name}PD`, opcode + 1, packedOperands('x'))]),
  ...([['FMADD', 0x68], ['FMSUB', 0x6c], ['FNMADD', 0x78], ['FNMSUB', 0x7c]] as const).flatMap(([name, opcode]) => [
    ...fma4Row(`V${name}PS`, opcode, packedOperands('x')), ...fma4Row(`V${name}PD`, opcode + 1, packedOperands('x')),
    ...fma4Row(`V${name}SS`, opcode + 2, scalarOperands('ss')), ...fma4Row(`V${name}SD`, opcode + 3, scalarOperands('sd')),
  ]),
];

export const fma: readonly Row[] = [...fma3, ...fma4];
