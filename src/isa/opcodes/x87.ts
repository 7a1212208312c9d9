// x87: D8..DF, and FWAIT. Memory forms by ModRM.reg, register forms by the whole ModRM byte. APM Vol. 5, chapter 2; table A-15 of Vol. 3.
import type { Row } from './row.ts';

/** The eight operations that exist for single, double, both integers, and registers. */
const operations = ['ADD', 'MUL', 'COM', 'COMP', 'SUB', 'SUBR', 'DIV', 'DIVR'];
const arithmetic = (opcode: string, integer: boolean, operand: string): Row[] =>
  operations.map((name, number) => [`F${integer ? 'I' : ''}${name}`, `${opcode} /${number}`, operand, '+fpu']);
/** A run of eight register forms. */
const run = (mnemonic: string, opcode: string, operands: string, feature = '+fpu'): Row => [mnemonic, `${opcode}+i`, operands, feature];
/** One ModRM byte, no operand. */
const single = (opcode: string, ...names: (string | '')[]): Row[] => {
  const [first, start] = opcode.split(' ') as [string, string];
  return names.flatMap((name, index): Row[] =>
    name === '' ? [] : [[name, `${first} ${(parseInt(start, 16) + index).toString(16)}`, '', '+fpu']]);
};

export const x87: readonly Row[] = [
  ['FWAIT', '9B', '', '+fpu'],
  ...arithmetic('D8', false, 'Md'), ...arithmetic('DC', false, 'Mq'), ...arithmetic('DA', true, 'Md'), ...arithmetic('DE', true, 'Mw'),
  ...operations.map((name, number) => run(`F${name}`, `D8 ${(0xc0 + 8 * number).toString(16)}`, 'ST0,STi')),
  ['FLD', 'D9 /0', 'Md', '+fpu'],
  ['FST', 'D9 /2', 'Md', '+fpu'],
  ['FSTP', 'D9 /3', 'Md', '+fpu'],
  ['FLDENV', 'D9 /4', 'Menv', '+fpu'],
  ['FLDCW', 'D9 /5', 'Mw', '+fpu'],
  ['FNSTENV', 'D9 /6', 'Menv', '+fpu'],
  ['FNSTCW', 'D9 /7', 'Mw', '+fpu'],
  run('FLD', 'D9 C0', 'STi'),
  run('FXCH', 'D9 C8', 'ST0,STi'),
  ...single('D9 D0', 'FNOP'),
  // As FSTP, but an empty register is not an error.
  run('FSTPNCE', 'D9 D8', 'STi'),
  ...single('D9 E0', 'FCHS', 'FABS', '', '', 'FTST', 'FXAM', '', '', 'FLD1', 'FLDL2T', 'FLDL2E', 'FLDPI', 'FLDLG2', 'FLDLN2', 'FLDZ'),
  ...single('D9 F0', 'F2XM1', 'FYL2X', 'FPTAN', 'FPATAN', 'FXTRACT', 'FPREM1', 'FDECSTP', 'FINCSTP',
    'FPREM', 'FYL2XP1', 'FSQRT', 'FSINCOS', 'FRNDINT', 'FSCALE', 'FSIN', 'FCOS'),
  run('FCMOVB', 'DA C0', 'ST0,STi', '+cmov'),
  run('FCMOVE', 'DA C8', 'ST0,STi', '+cmov'),
  run('FCMOVBE', 'DA D0', 'ST0,STi', '+cmov'),
  run('FCMOVU', 'DA D8', 'ST0,STi', '+cmov'),
  ...single('DA E9', 'FUCOMPP'),
  ['FILD', 'DB /0', 'Md', '+fpu'],
  ['FISTTP', 'DB /1', 'Md', '+pni'],
  ['FIST', 'DB /2', 'Md', '+fpu'],
  ['FISTP', 'DB /3', 'Md', '+fpu'],
  ['FLD', 'DB /5', 'Mt', '+fpu'],
  ['FSTP', 'DB /7', 'Mt', '+fpu'],
  run('FCMOVNB', 'DB C0', 'ST0,STi', '+cmov'),
  run('FCMOVNE', 'DB C8', 'ST0,STi', '+cmov'),
  run('FCMOVNBE', 'DB D0', 'ST0,STi', '+cmov'),
  run('FCMOVNU', 'DB D8', 'ST0,STi', '+cmov'),
  ...single('DB E0', 'FNENI', 'FNDISI', 'FNCLEX', 'FNINIT', 'FNSETPM'),
  run('FUCOMI', 'DB E8', 'ST0,STi'),
  run('FCOMI', 'DB F0', 'ST0,STi'),
  run('FADD', 'DC C0', 'STi,ST0'),
  run('FMUL', 'DC C8', 'STi,ST0'),
  run('FCOM', 'DC D0', 'ST0,STi'),
  run('FCOMP', 'DC D8', 'ST0,STi'),
  run('FSUBR', 'DC E0', 'STi,ST0'),
  run('FSUB', 'DC E8', 'STi,ST0'),
  run('FDIVR', 'DC F0', 'STi,ST0'),
  run('FDIV', 'DC F8', 'STi,ST0'),
  ['FLD', 'DD /0', 'Mq', '+fpu'],
  ['FISTTP', 'DD /1', 'Mq', '+pni'],
  ['FST', 'DD /2', 'Mq', '+fpu'],
  ['FSTP', 'DD /3', 'Mq', '+fpu'],
  ['FRSTOR', 'DD /4', 'Mstate', '+fpu'],
  ['FNSAVE', 'DD /6', 'Mstate', '+fpu'],
  ['FNSTSW', 'DD /7', 'Mw', '+fpu'],
  run('FFREE', 'DD C0', 'STi'),
  run('FXCH', 'DD C8', 'ST0,STi'),
  run('FST', 'DD D0', 'STi'),
  run('FSTP', 'DD D8', 'STi'),
  run('FUCOM', 'DD E0', 'ST0,STi'),
  run('FUCOMP', 'DD E8', 'ST0,STi'),
  run('FADDP', 'DE C0', 'STi,ST0'),
  run('FMULP', 'DE C8', 'STi,ST0'),
  run('FCOMP', 'DE D0', 'ST0,STi'),
  ...single('DE D9', 'FCOMPP'),
  run('FSUBRP', 'DE E0', 'STi,ST0'),
  run('FSUBP', 'DE E8', 'STi,ST0'),
  run('FDIVRP', 'DE F0', 'STi,ST0'),
  run('FDIVP', 'DE F8', 'STi,ST0'),
  ['FILD', 'DF /0', 'Mw', '+fpu'],
  ['FISTTP', 'DF /1', 'Mw', '+pni'],
  ['FIST', 'DF /2', 'Mw', '+fpu'],
  ['FISTP', 'DF /3', 'Mw', '+fpu'],
  ['FBLD', 'DF /4', 'Mt', '+fpu'],
  ['FILD', 'DF /5', 'Mq', '+fpu'],
  ['FBSTP', 'DF /6', 'Mt', '+fpu'],
  ['FISTP', 'DF /7', 'Mq', '+fpu'],
  run('FFREEP', 'DF C0', 'STi'),
  run('FXCH', 'DF C8', 'ST0,STi'),
  run('FSTP', 'DF D0', 'STi'),
  run('FSTP', 'DF D8', 'STi'),
  ['FNSTSW', 'DF E0', 'AX', '+fpu'],
  run('FUCOMIP', 'DF E8', 'ST0,STi'),
  run('FCOMIP', 'DF F0', 'ST0,STi'),
];
