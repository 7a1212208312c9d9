// Addition, subtraction, logic, comparison, and the exchanges that are built on them. APM Vol. 3, chapter 3.
import type { Row } from './row.ts';

/** The eight operations that share one pattern of opcodes (APM Vol. 3, table A-1, columns 0..5; group 1). CMP writes nothing: no LOCK. */
const eight = (mnemonic: string, number: number): Row[] => {
  const opcode = (low: number): string => (8 * number + low).toString(16).padStart(2, '0');
  const lock = mnemonic === 'CMP' ? '' : 'lock';
  return [
    [mnemonic, `${opcode(0)} /r`, 'Eb,Gb', lock],
    [mnemonic, `${opcode(1)} /r`, 'Ev,Gv', lock],
    [mnemonic, `${opcode(2)} /r`, 'Gb,Eb'],
    [mnemonic, `${opcode(3)} /r`, 'Gv,Ev'],
    [mnemonic, opcode(4), 'AL,Ib'],
    [mnemonic, opcode(5), 'rAX,Iz'],
    [mnemonic, `80 /${number}`, 'Eb,Ib', lock],
    [mnemonic, `81 /${number}`, 'Ev,Iz', lock],
    [mnemonic, `82 /${number}`, 'Eb,Ib', `i64 ${lock}`.trim()],
    [mnemonic, `83 /${number}`, 'Ev,Ibs', lock],
  ];
};

export const arithmetic: readonly Row[] = [
  ...['ADD', 'OR', 'ADC', 'SBB', 'AND', 'SUB', 'XOR', 'CMP'].flatMap(eight),
  ['INC', '40+r', 'Zv', 'i64'],
  ['DEC', '48+r', 'Zv', 'i64'],
  ['INC', 'FE /0', 'Eb', 'lock'],
  ['DEC', 'FE /1', 'Eb', 'lock'],
  ['INC', 'FF /0', 'Ev', 'lock'],
  ['DEC', 'FF /1', 'Ev', 'lock'],
  ['TEST', '84 /r', 'Eb,Gb'],
  ['TEST', '85 /r', 'Ev,Gv'],
  ['TEST', 'A8', 'AL,Ib'],
  ['TEST', 'A9', 'rAX,Iz'],
  ['TEST', 'F6 /0', 'Eb,Ib'],
  ['TEST', 'F6 /1', 'Eb,Ib'],
  ['TEST', 'F7 /0', 'Ev,Iz'],
  ['TEST', 'F7 /1', 'Ev,Iz'],
  ['NOT', 'F6 /2', 'Eb', 'lock'],
  ['NOT', 'F7 /2', 'Ev', 'lock'],
  ['NEG', 'F6 /3', 'Eb', 'lock'],
  ['NEG', 'F7 /3', 'Ev', 'lock'],
  ['ADCX', '66 0F 38 F6 /r', 'Gy,Ey', '+adx'],
  ['ADOX', 'F3 0F 38 F6 /r', 'Gy,Ey', '+adx'],
  ['XADD', '0F C0 /r', 'Eb,Gb', 'lock'],
  ['XADD', '0F C1 /r', 'Ev,Gv', 'lock'],
  ['CMPXCHG', '0F B0 /r', 'Eb,Gb', 'lock'],
  ['CMPXCHG', '0F B1 /r', 'Ev,Gv', 'lock'],
  ['CMPXCHG16B', 'REX.W 0F C7 /1', 'Mdq', 'lock +cx16'],
  ['CMPXCHG8B', '0F C7 /1', 'Mq', 'lock +cx8'],
];
