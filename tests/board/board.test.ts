// The board answers exits: serial port, fw_cfg, debug exit, the test device, nothing at all elsewhere; and it hands out turns.
import { describe, expect, it } from 'vitest';
import { createBoard, type BoardStop } from '../../src/board/board.ts';
import { createFakeVm, halt, input, out, type Step } from './fake-vm.ts';

function boardFor(scripts: readonly (readonly Step[])[], quantum = 100, ramBytes = 4 << 20) {
  const sent: number[] = [];
  const vm = createFakeVm(ramBytes, scripts);
  const board = createBoard(vm, { cpuCount: scripts.length, quantum, onOutput: (byte) => sent.push(byte) });
  return { board, vm, text: () => String.fromCharCode(...sent) };
}
/** Reads `port` after the writes; the value that the guest got. */
function readAfter(writes: readonly Step[], port: number, size: 1 | 2 | 4 = 1, setup: (board: ReturnType<typeof boardFor>['board']) => void = () => undefined): number {
  const read = input(port, size);
  const { board } = boardFor([[...writes, read, halt]]);
  setup(board);
  expect(board.run()).toEqual({ kind: 'halted' });
  return read.data.reduce((sum, byte, index) => sum + byte * 2 ** (8 * index), 0);
}

describe('ports', () => {
  it('print what is written to COM1', () => {
    const { board, text } = boardFor([[...'hello'].map((letter) => out(0x3f8, letter.charCodeAt(0))).concat(halt)]);
    expect(board.run()).toEqual({ kind: 'halted' });
    expect(text()).toBe('hello');
  });
  it('have a transmitter that is always empty, and say when a byte came in', () => {
    expect(readAfter([], 0x3fd)).toBe(0x60);
    expect(readAfter([], 0x3fd, 1, (board) => board.receive(Uint8Array.of(65)))).toBe(0x61);
    expect(readAfter([], 0x3f8, 1, (board) => board.receive(Uint8Array.of(65, 66)))).toBe(65);
    expect(readAfter([input(0x3f8)], 0x3f8, 1, (board) => board.receive(Uint8Array.of(65, 66)))).toBe(66);
    expect(readAfter([input(0x3f8)], 0x3fd, 1, (board) => board.receive(Uint8Array.of(65)))).toBe(0x60);
  });
  it('keep a UART that drivers recognise', () => {
    expect(readAfter([out(0x3fb, 0x83), out(0x3f8, 1), out(0x3f9, 0)], 0x3f8)).toBe(1);
    expect(readAfter([out(0x3ff, 0x5a)], 0x3ff)).toBe(0x5a);
    expect(readAfter([out(0x3fa, 1)], 0x3fa)).toBe(0xc1);
    expect(readAfter([out(0x3fc, 0x1a)], 0x3fe)).toBe(0x90);
    expect(readAfter([out(0x3fc, 0x10), out(0x3f8, 0x77)], 0x3f8)).toBe(0x77);
    expect(readAfter([out(0x3f9, 2)], 0x3fa)).toBe(2);
    const sixteen = Uint8Array.from({ length: 20 }, (_, index) => index);
    expect(readAfter([out(0x3fa, 3)], 0x3f8, 1, (board) => board.receive(sixteen))).toBe(16);
  });
  it('give the number of processors and the size of RAM', () => {
    expect(readAfter([out(0x510, 5, 2), input(0x511)], 0x511)).toBe(0);
    expect(readAfter([out(0x510, 5, 2)], 0x511)).toBe(1);
    expect(readAfter([out(0x510, 3, 2), input(0x511), input(0x511)], 0x511)).toBe(0x40);
    expect(readAfter([out(0x510, 0x11, 2)], 0x511)).toBe(0);
    expect(readAfter([out(0x510, 0xffff, 2)], 0x511)).toBe(0);
  });
  it('read as ones and ignore writes where nothing is', () => {
    expect(readAfter([out(0xcf8, 0x80000000, 4)], 0xcfc, 4)).toBe(0xffffffff);
    expect(readAfter([out(0x21, 0xff), out(0xa1, 0xff), out(0x8900, 0x53)], 0x61)).toBe(0xff);
  });
  it('take strings of elements', () => {
    const { board, text } = boardFor([[{ reason: 'IoOut', port: 0x3f8, size: 1, data: new TextEncoder().encode('outs') }, halt]]);
    board.run();
    expect(text()).toBe('outs');
  });
});

describe('the debug-exit port', () => {
  it.each([[0, 1], [1, 3], [38, 77], [127, 255]])('turns code %i into status %i', (code, status) => {
    expect(boardFor([[out(0xf4, code, 4), halt]]).board.run()).toEqual({ kind: 'exited', status });
    expect(boardFor([[out(0xf4, code), halt]]).board.run()).toEqual({ kind: 'exited', status });
  });
});

describe('memory without RAM', () => {
  const read = (address: number, length: number): Step & { data: Uint8Array } => ({ reason: 'MmioRead', address, data: new Uint8Array(length) });
  const write = (address: number, value: number): Step => ({ reason: 'MmioWrite', address, data: Uint8Array.of(value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24) });
  it('reads as ones', () => {
    const step = read(0xd0000000, 8);
    boardFor([[step, halt]]).board.run();
    expect([...step.data]).toEqual(Array.from({ length: 8 }, () => 0xff));
  });
  it('belongs to the test device at FF000000h, which keeps what is written', () => {
    const [before, after] = [read(0xff000010, 4), read(0xff000012, 2)];
    boardFor([[before, write(0xff000010, 0x12345678), after, halt]]).board.run();
    expect([...before.data]).toEqual([0, 0, 0, 0]);
    expect([...after.data]).toEqual([0x34, 0x12]);
  });
});

describe('stops', () => {
  it('are reported as plain records', () => {
    expect(boardFor([[{ reason: 'Shutdown' }]]).board.run()).toEqual({ kind: 'shutdown', vcpu: 0 });
    const error: Step = { reason: 'InternalError', suberror: 1, data: [] };
    expect(boardFor([[error]]).board.run()).toEqual({ kind: 'failed', vcpu: 0, exit: error });
    expect(boardFor([[10, halt]]).board.run(4n)).toEqual({ kind: 'reached' });
  });
});

describe('turns', () => {
  const scripts = (): Step[][] => [[25, halt], [7, halt], [12, out(0x3f8, 33), 12, halt]];
  it('go round by quantum, and pass over who has halted', () => {
    const { board, vm } = boardFor(scripts(), 10);
    expect(board.run()).toEqual({ kind: 'halted' });
    expect(vm.order).toEqual(['0:10', '1:8', '2:10', '0:10', '2:2', '2:8', '0:6', '2:6']);
    expect(board.icount()).toBe(60n);
  });
  it('do not depend on where a run is interrupted', () => {
    const whole = boardFor(scripts(), 10);
    const digests: string[] = [];
    for (let at = 1n; at <= 60n; at++) {
      const stop: BoardStop = whole.board.run(at);
      expect(stop.kind).toBe('reached');
      digests.push(whole.board.digest());
    }
    expect(whole.board.run()).toEqual({ kind: 'halted' });
    for (const step of [7, 13, 60]) {
      const { board } = boardFor(scripts(), 10);
      for (let at = step; at <= 60; at += step) {
        board.run(BigInt(at));
        expect(board.digest(), `at ${at} by ${step}`).toBe(digests[at - 1]);
      }
    }
  });
});

it('its state goes through save and load', () => {
  const script = (): Step[] => [out(0x3fb, 3), out(0x510, 5, 2), input(0x511), out(0x3f8, 1), 5, input(0x511), input(0x3f8), halt];
  const first = boardFor([script()]);
  first.board.receive(Uint8Array.of(9, 8));
  first.board.run(7n);
  const state = structuredClone(first.board.saveState());
  const second = boardFor([script().slice(5)]);
  second.board.loadState(state);
  expect(second.board.saveState()).toEqual(state);
  expect(second.board.digest()).toBe(first.board.digest());
  first.board.run();
  second.board.run();
  expect(second.board.digest()).toBe(first.board.digest());
});
