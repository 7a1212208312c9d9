// Transfers of control: near and far, conditional, loops, software interrupts and their returns. APM Vol. 3, chapter 3.
// Near branches in 64-bit mode: AMD honours an operand-size prefix (the target is cut to 16 bits), Intel ignores it. These rows follow AMD.
import type { Row } from './row.ts';

export const branch: readonly Row[] = [
  ['JCC', '70+cc', 'Jb', 'd64'],
  ['JCC', '0F 80+cc', 'Jz', 'd64'],
  ['JMP', 'EB', 'Jb', 'd64'],
  ['JMP', 'E9', 'Jz', 'd64'],
  ['JMP', 'FF /4', 'Ev', 'd64'],
  ['CALL', 'E8', 'Jz', 'd64'],
  ['CALL', 'FF /2', 'Ev', 'd64'],
  ['RET', 'C2', 'Iw', 'd64'],
  ['RET', 'C3', '', 'd64'],
  ['JMPF', 'EA', 'Ap', 'i64'],
  ['JMPF', 'FF /5', 'Mp'],
  ['CALLF', '9A', 'Ap', 'i64'],
  ['CALLF', 'FF /3', 'Mp'],
  ['RETF', 'CA', 'Iw'],
  ['RETF', 'CB'],
  ['LOOPNE', 'E0', 'Jb', 'd64'],
  ['LOOPE', 'E1', 'Jb', 'd64'],
  ['LOOP', 'E2', 'Jb', 'd64'],
  ['JCXZ', 'E3', 'Jb', 'd64'],
  ['INT1', 'F1'],
  ['INT3', 'CC'],
  ['INT', 'CD', 'Ib'],
  ['INTO', 'CE', '', 'i64'],
  ['IRET', 'CF'],
  ['BOUND', '62 /r', 'Gv,Ma', 'i64'],
  ['XABORT', 'C6 F8', 'Ib', '+rtm'],
  ['XBEGIN', 'C7 F8', 'Jz', 'd64 +rtm'],
  ['XEND', 'NP 0F 01 D5', '', '+rtm'],
  ['XTEST', 'NP 0F 01 D6', '', '+rtm'],
  // Intel's UD0 has ModRM, AMD's has not; nobody can tell but by the bytes that are fetched before #UD.
  ['UD0', '0F FF'],
  ['UD1', '0F B9 /r', 'Gv,Ev'],
  ['UD2', '0F 0B'],
];
