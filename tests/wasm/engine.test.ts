// How code is found, counted, stopped and forgotten: the same story under the reference, the interpreter and the translator.
import { describe, expect, it } from 'vitest';
import { Stop } from '../../src/cpu/engine.ts';
import { DF } from '../../src/cpu/flags.ts';
import { createIdentity, type Identity } from './identity.ts';

const HLT = 'f4';

describe.each(['reference', 'interpreter', 'translator'] as const)('under the %s', (kind) => {
  const open = (): Identity => createIdentity(kind);

  it('a run stops at every instruction count, and goes on as if it had not', () => {
    // mov ecx, 5; again: add rax, rcx; dec ecx; jnz again; hlt
    const text = `b905000000 4801c8 ffc9 75f9 ${HLT}`;
    const whole = open();
    whole.code(0x1000, text);
    expect(whole.run(100)).toBe(Stop.attention);
    expect(whole.cpu.rax).toBe(15n);
    expect(whole.cpu.budget).toBe(100 - 17);
    for (let first = 1; first < 17; first++) {
      const parts = open();
      parts.code(0x1000, text);
      expect(parts.run(first)).toBe(Stop.budget);
      expect(parts.cpu.budget).toBe(0);
      expect(parts.run(17 - first)).toBe(Stop.attention);
      expect([parts.cpu.rax, parts.cpu.rcx, parts.cpu.rip, parts.cpu.budget]).toEqual([15n, 0n, whole.cpu.rip, 0]);
    }
  });

  it('a store into the instruction behind it is seen by that instruction', () => {
    const machine = open();
    // mov dword [rip + 1], 0x11223344; mov eax, 0; hlt
    machine.code(0x1000, `c7050100000044332211 b800000000 ${HLT}`);
    expect(machine.run(10)).toBe(Stop.attention);
    expect(machine.cpu.rax).toBe(0x11223344n);
    expect(machine.cpu.budget).toBe(7);
  });

  it('a function that is patched before every call is always the newest one', () => {
    const machine = open();
    // again: mov [0x3001], ecx; call 0x3000; add rbx, rax; dec ecx; jnz again; hlt
    machine.code(0x1000, `890c2501300000 e8f41f0000 4801c3 ffc9 75ed ${HLT}`);
    machine.ram.set(Buffer.from('b800000000c3', 'hex'), 0x3000);
    machine.cpu.rsp = 0x8000n;
    machine.cpu.rcx = 100n;
    expect(machine.run(10_000)).toBe(Stop.attention);
    expect(machine.cpu.rbx).toBe(5050n);
    expect(machine.cpu.budget).toBe(10_000 - 100 * 7 - 1);
  });

  it('code whose instructions begin elsewhere after a patch is decoded anew', () => {
    const machine = open();
    // again: mov byte [0x3000], cl; call 0x3000; dec ecx; jnz again; hlt. The byte is 90 (nop) or 66 (an operand-size prefix for inc eax).
    machine.code(0x1000, `880c2500300000 e8f41f0000 80f1f6 48ffce 75ec ${HLT}`);
    machine.ram.set(Buffer.from('90ffc0c3', 'hex'), 0x3000);
    machine.cpu.rsp = 0x8000n;
    machine.cpu.rcx = 0x66n;
    machine.cpu.rax = 0xffffn;
    machine.cpu.rsi = 6n;
    expect(machine.run(1000)).toBe(Stop.attention);
    // inc ax wraps to 0; then inc eax; and so on by turns.
    expect(machine.cpu.rax).toBe(6n - 1n);
  });

  it('an instruction across two pages follows the mapping of both', () => {
    const machine = open();
    // mov eax, imm32 begins 2 bytes before the end of page 1; hlt.
    machine.ram.set(Buffer.from('b811', 'hex'), 0x1ffe);
    machine.ram.set(Buffer.from(`223344${HLT}`, 'hex'), 0x2000);
    machine.ram.set(Buffer.from(`556677${HLT}`, 'hex'), 0x5000);
    machine.cpu.rip = 0x1ffen;
    expect(machine.run(10)).toBe(Stop.attention);
    expect(machine.cpu.rax).toBe(0x44332211n);
    machine.map.set(2, 5);
    machine.flush();
    machine.cpu.rip = 0x1ffen;
    expect(machine.run(10)).toBe(Stop.attention);
    expect(machine.cpu.rax).toBe(0x77665511n);
    machine.map.delete(2);
    machine.flush();
    machine.cpu.rip = 0x1ffen;
    expect(machine.run(10)).toBe(Stop.fault);
    expect([machine.cpu.faultVector, machine.cpu.faultErrorCode, machine.cpu.faultAddress, machine.cpu.rip, machine.cpu.budget]).toEqual([14, 0x10, 0x2000n, 0x1ffen, 10]);
  });

  it('the second half of an instruction across two pages can be patched', () => {
    const machine = open();
    machine.ram.set(Buffer.from('b811', 'hex'), 0x1ffe);
    machine.ram.set(Buffer.from(`223344${HLT}`, 'hex'), 0x2000);
    // mov byte [0x2000], 0x99; jmp 0x1ffe
    machine.code(0x1000, 'c6042500200000 99 e9f10f0000');
    machine.cpu.rip = 0x1ffen;
    expect(machine.run(10)).toBe(Stop.attention);
    machine.cpu.rip = 0x1000n;
    expect(machine.run(10)).toBe(Stop.attention);
    expect(machine.cpu.rax).toBe(0x44339911n);
  });

  it('a page of code that is mapped elsewhere is other code at the same place', () => {
    const machine = open();
    // 0x1000: call 0x3000; hlt. Page 3: mov eax, 1; ret. Page 7: mov eax, 2; ret.
    machine.code(0x1000, `e8fb1f0000 ${HLT}`);
    machine.ram.set(Buffer.from('b801000000c3', 'hex'), 0x3000);
    machine.ram.set(Buffer.from('b802000000c3', 'hex'), 0x7000);
    for (const [page, result] of [[3, 1n], [7, 2n], [3, 1n]] as const) {
      machine.map.set(3, page);
      machine.flush();
      machine.cpu.rip = 0x1000n;
      machine.cpu.rsp = 0x8000n;
      expect(machine.run(10)).toBe(Stop.attention);
      expect(machine.cpu.rax).toBe(result);
    }
  });

  it('a call to a page that is not mapped retires, and the fetch faults', () => {
    const machine = open();
    machine.code(0x1000, `e8fbef0f00 ${HLT}`);
    machine.cpu.rsp = 0x8000n;
    expect(machine.run(10)).toBe(Stop.fault);
    expect([machine.cpu.rip, machine.cpu.faultAddress, machine.cpu.budget, machine.cpu.rsp]).toEqual([0x100000n, 0x100000n, 9, 0x7ff8n]);
  });

  it('a jump to an address that is not canonical faults at the jump', () => {
    const machine = open();
    // jmp rax
    machine.code(0x1000, 'ffe0');
    machine.cpu.rax = 0x800000000000n;
    expect(machine.run(10)).toBe(Stop.fault);
    expect([machine.cpu.faultVector, machine.cpu.rip, machine.cpu.budget]).toEqual([13, 0x1000n, 10]);
  });

  it('bytes that are no instruction raise #UD when they are reached, not before', () => {
    const machine = open();
    // inc eax; (0f 0a)
    machine.code(0x1000, 'ffc0 0f0a');
    expect(machine.run(1)).toBe(Stop.budget);
    expect(machine.cpu.rax).toBe(1n);
    expect(machine.run(5)).toBe(Stop.fault);
    expect([machine.cpu.faultVector, machine.cpu.rip, machine.cpu.budget]).toEqual([6, 0x1002n, 5]);
  });

  it('a repeated move stops at any element and goes on', () => {
    const source = Uint8Array.from({ length: 0x2800 }, (_, at) => at * 7 ^ at >> 8);
    for (const [text, elements] of [[`f3a4 ${HLT}`, 0x2800], [`f348a5 ${HLT}`, 0x500]] as const) {
      const machine = open();
      machine.code(0x1000, text);
      machine.ram.set(source, 0x10003);
      machine.cpu.rsi = 0x10003n;
      machine.cpu.rdi = 0x20801n;
      machine.cpu.rcx = BigInt(elements);
      for (let done = 0; done < elements;) {
        const part = Math.min(elements - done, 1 + done * 13 % 900);
        expect(machine.run(part)).toBe(Stop.budget);
        done += part;
        expect(machine.cpu.rcx).toBe(BigInt(elements - done));
        expect(machine.cpu.rip).toBe(done === elements ? 0x1000n + BigInt(text.indexOf(HLT) >> 1) : 0x1000n);
      }
      expect(Buffer.compare(machine.ram.subarray(0x20801, 0x20801 + 0x2800), source)).toBe(0);
      expect(machine.run(1)).toBe(Stop.attention);
    }
  });

  it('a repeated move that overlaps itself spreads what it wrote', () => {
    const machine = open();
    machine.code(0x1000, `f3a4 ${HLT}`);
    machine.ram.set(Buffer.from('abc'), 0x10000);
    machine.cpu.rsi = 0x10000n;
    machine.cpu.rdi = 0x10003n;
    machine.cpu.rcx = 30n;
    expect(machine.run(100)).toBe(Stop.attention);
    expect(Buffer.from(machine.ram.subarray(0x10000, 0x10021)).toString()).toBe('abc'.repeat(11));
    expect(machine.cpu.budget).toBe(69);
  });

  it('a repeated store that faults leaves what it did', () => {
    const machine = open();
    machine.code(0x1000, `f3ab ${HLT}`);
    machine.map.delete(0x12);
    machine.flush();
    machine.cpu.rax = 0x5a5a1234n;
    machine.cpu.rdi = 0x11000n - 8n;
    machine.cpu.rcx = 0x1000n;
    expect(machine.run(0x2000)).toBe(Stop.fault);
    expect([machine.cpu.faultAddress, machine.cpu.rdi, machine.cpu.rcx, machine.cpu.budget, machine.cpu.rip])
      .toEqual([0x12000n, 0x12000n, 0x1000n - 0x402n, 0x2000 - 0x402, 0x1000n]);
    expect(machine.ram[0x11fff]).toBe(0x5a);
  });

  it('string instructions go downwards when DF is set', () => {
    const machine = open();
    machine.code(0x1000, `f366a5 ${HLT}`);
    machine.ram.set(Buffer.from('0123456789'), 0x10000);
    machine.cpu.rflagsSystem |= DF;
    machine.cpu.rsi = 0x10008n;
    machine.cpu.rdi = 0x10108n;
    machine.cpu.rcx = 5n;
    expect(machine.run(100)).toBe(Stop.attention);
    expect(Buffer.from(machine.ram.subarray(0x10100, 0x1010a)).toString()).toBe('0123456789');
    expect([machine.cpu.rsi, machine.cpu.rdi]).toEqual([0xfffen, 0x100fen]);
  });

  it('SCAS and CMPS stop where the comparison says', () => {
    const machine = open();
    // repne scasb; repe cmpsb; hlt
    machine.code(0x1000, `f2ae f3a6 ${HLT}`);
    machine.ram.set(Buffer.from('hello world'), 0x10000);
    machine.ram.set(Buffer.from('xhello_'), 0x10100);
    machine.cpu.rax = BigInt('o'.charCodeAt(0));
    machine.cpu.rdi = 0x10000n;
    machine.cpu.rcx = 50n;
    expect(machine.run(5)).toBe(Stop.budget);
    expect([machine.cpu.rdi, machine.cpu.rcx, machine.cpu.rip]).toEqual([0x10005n, 45n, 0x1002n]);
    machine.cpu.rsi = 0x10000n;
    machine.cpu.rdi = 0x10101n;
    machine.cpu.rcx = 50n;
    expect(machine.run(100)).toBe(Stop.attention);
    expect([machine.cpu.rsi, machine.cpu.rdi, machine.cpu.rcx, machine.cpu.budget]).toEqual([0x10006n, 0x10107n, 44n, 93]);
  });

  it('everything decoded can be dropped between two instructions', () => {
    const machine = open();
    machine.code(0x1000, `b905000000 4801c8 ffc9 75f9 ${HLT}`);
    for (let count = 0; count < 16; count++) {
      expect(machine.run(1)).toBe(Stop.budget);
      machine.engine.reset();
    }
    expect(machine.run(1)).toBe(Stop.attention);
    expect(machine.cpu.rax).toBe(15n);
  });
});
