// Saved vCPU states outlive the state table, and refuse what they do not understand.
import { expect, test } from 'vitest';
import { bindCpu, resetCpu, type Cpu } from '../../src/cpu/state.ts';
import { decodeVcpu, encodeVcpu, stateParts } from '../../src/vm/vcpu-codec.ts';

function freshCpu(): Cpu {
  const cpu = bindCpu(new ArrayBuffer(0x10000));
  resetCpu(cpu);
  return cpu;
}

test('a state survives, every part of it', () => {
  const cpu = freshCpu();
  let value = 1;
  for (const { offset, length } of stateParts) for (let at = 0; at < length; at++) cpu.u8[offset + at] = value = value * 37 & 0xff | 1;
  const bytes = encodeVcpu(cpu), after = freshCpu();
  decodeVcpu(after, bytes);
  for (const { name, offset, length } of stateParts) {
    expect([name, ...after.u8.subarray(offset, offset + length)]).toEqual([name, ...cpu.u8.subarray(offset, offset + length)]);
  }
});

test('what a state does not name is at its reset value', () => {
  const cpu = freshCpu();
  cpu.cr0 = 0x80000011;
  decodeVcpu(cpu, new Uint8Array(0));
  expect([cpu.cr0, cpu.rip]).toEqual([0x60000010, 0xfff0n]);
});

test('a state that names an unknown field, a wrong length, or ends early is refused and changes nothing', () => {
  const cpu = freshCpu();
  cpu.rax = 7n;
  const entry = (name: string, value: number[]) => Uint8Array.from([name.length, ...Buffer.from(name), value.length & 0xff, value.length >> 8, ...value]);
  expect(() => decodeVcpu(cpu, entry('speed', [1, 2, 3, 4]))).toThrow(/"speed".*later/);
  expect(() => decodeVcpu(cpu, entry('rax', [1]))).toThrow(/rax 1 bytes/);
  expect(() => decodeVcpu(cpu, entry('rax', [1, 0, 0, 0, 0, 0, 0, 0]).subarray(0, 7))).toThrow(/middle of an entry/);
  expect(() => decodeVcpu(cpu, Uint8Array.of(200))).toThrow(/middle of an entry/);
  expect(cpu.rax).toBe(7n);
});
