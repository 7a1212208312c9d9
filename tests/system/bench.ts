// How long INT n and IRET, and #PF delivery and IRET, take in 64-bit mode on the test machine. Run by hand: npx tsx tests/system/bench.ts
import { deliverException } from '../../src/system/deliver.ts';
import { returnFromInterrupt } from '../../src/system/far.ts';
import { executeSystem } from '../../src/system/index.ts';
import { createMachine, CODE, longMode, putGate, Sel } from './machine.ts';
import type { Instruction } from '../../src/isa/instruction.ts';

const machine = longMode(createMachine());
const { cpu } = machine;
putGate(machine, 0x20, Sel.code64, 0x9000, 0x8e, true);
putGate(machine, 14, Sel.code64, 0x9000, 0x8e, true);
const make = (mnemonic: string, operands: Instruction['operands']): Instruction =>
  ({ mnemonic, operands, length: 2, codeSize: 64, operandSize: 64, addressSize: 64, condition: -1, lock: false, rep: 'none', feature: '' });
const int = make('INT', [{ kind: 'immediate', value: 0x20n, width: 8 }]), iret = make('IRET', []);
cpu.nextRip = BigInt(CODE + 2);

function time(name: string, count: number, body: () => void): void {
  for (let index = 0; index < 200000; index++) body();
  const start = process.hrtime.bigint();
  for (let index = 0; index < count; index++) body();
  console.log(`${name}: ${(Number(process.hrtime.bigint() - start) / count).toFixed(0)} ns`);
}
time('INT n + IRET', 1_000_000, () => {
  executeSystem(machine, int);
  executeSystem(machine, iret);
});
time('#PF + IRET + 8', 1_000_000, () => {
  deliverException(machine, 14, 0, 0x1234n);
  cpu.rsp += 8n;
  returnFromInterrupt(machine, iret);
});
