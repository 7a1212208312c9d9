// Port 92h and the keyboard controller move the gate of the VM, answer at once, and are no part of a saved state before they are used.
import { expect, test } from 'vitest';
import { createBoard } from '../../src/board/board.ts';
import { createI8042, I8042_RESET, KEYBOARD_COMMAND, KEYBOARD_DATA, SYSTEM_CONTROL_A } from '../../src/board/i8042.ts';
import { createFakeVm, halt, input, out, type Step } from './fake-vm.ts';

function controller() {
  let open = true;
  const device = createI8042({ isA20Open: () => open, setA20: (value) => { open = value; } });
  const command = (...bytes: number[]): void => { bytes.forEach((byte, index) => device.write(index === 0 ? KEYBOARD_COMMAND : KEYBOARD_DATA, byte)); };
  return { device, command, isOpen: () => open };
}

test('port 92h shows the gate in bit 1 and moves it; bit 0 resets nothing', () => {
  const { device, isOpen } = controller();
  expect(device.read(SYSTEM_CONTROL_A)).toBe(2);
  for (const [value, open] of [[0, false], [0xfd, false], [2, true], [0xfc, false], [3, true]] as const) {
    device.write(SYSTEM_CONTROL_A, value);
    expect([isOpen(), device.read(SYSTEM_CONTROL_A)]).toEqual([open, open ? 2 : 0]);
  }
  expect(device.isUsed()).toBe(false);
});

test('the output port and two commands move it as well', () => {
  const { device, command, isOpen } = controller();
  for (const [bytes, open] of [[[0xd1, 0xdd], false], [[0xd1, 0xdf], true], [[0xdd], false], [[0xdf], true], [[0xd1, 0], false], [[0xd1, 2], true]] as const) {
    command(...bytes);
    expect(isOpen()).toBe(open);
    command(0xd0);
    expect(device.read(KEYBOARD_COMMAND) & 3).toBe(1);
    expect(device.read(KEYBOARD_DATA)).toBe(open ? 0xcf : 0xcd);
    expect(device.read(KEYBOARD_COMMAND) & 3).toBe(0);
  }
});

test('a byte without a command moves nothing, and a command forgets the one before', () => {
  const { command, device, isOpen } = controller();
  device.write(KEYBOARD_DATA, 0);
  command(0xd1);
  command(0xae, 0);
  expect(isOpen()).toBe(true);
  for (const pulse of [0xf0, 0xfe, 0xff]) command(pulse);
  expect([isOpen(), device.read(KEYBOARD_COMMAND)]).toEqual([true, 0x14]);
});

test('its tests pass, and the command byte keeps what is written', () => {
  const { command, device } = controller();
  const answer = (...bytes: number[]): number => {
    command(...bytes);
    expect(device.read(KEYBOARD_COMMAND) & 1).toBe(1);
    return device.read(KEYBOARD_DATA);
  };
  expect([answer(0xaa), answer(0xab), answer(0x20), answer(0xc0)]).toEqual([0x55, 0, 0x44, 0x80]);
  command(0x60, 0x61);
  command(0xad);
  expect([answer(0x20), device.read(KEYBOARD_COMMAND) & 4]).toEqual([0x71, 0]);
  command(0xae);
  expect([answer(0xaa), answer(0x20)]).toEqual([0x55, 0x65]);
});

test('its state goes through save and load in the middle of a command', () => {
  const first = controller(), second = controller();
  first.command(0xaa);
  first.command(0xd1);
  second.device.load(structuredClone(first.device.save()));
  expect(second.device.save()).toEqual(first.device.save());
  second.device.write(KEYBOARD_DATA, 0);
  expect([second.isOpen(), second.device.read(KEYBOARD_DATA)]).toEqual([false, 0x55]);
  second.device.load(I8042_RESET);
  expect(second.device.isUsed()).toBe(false);
});

test('the board answers on its ports; a used controller and a closed gate count in its digest', () => {
  const play = (steps: readonly Step[]) => {
    const vm = createFakeVm(4 << 20, [[...steps, halt]]), board = createBoard(vm, { cpuCount: 1, quantum: 100, onOutput: () => undefined });
    expect(board.run()).toEqual({ kind: 'halted' });
    return { vm, board };
  };
  const status = input(0x64), word = input(0x92, 2), before = play([status, word]);
  expect([status.data[0], ...word.data]).toEqual([0x14, 2, 0xff]);
  expect(before.board.saveState()).not.toHaveProperty('i8042');
  const closed = play([out(0x92, 0)]), used = play([out(0x64, 0xaa)]);
  expect([closed.vm.isA20Open(), used.vm.isA20Open()]).toEqual([false, true]);
  expect(closed.board.saveState()).not.toHaveProperty('i8042');
  expect(used.board.saveState().i8042).toEqual({ data: 0x55, isFull: true, command: 0, commandByte: 0x44 });
  expect(new Set([before, closed, used].map(({ board }) => board.digest())).size).toBe(3);
  const again = play([]);
  again.board.loadState(used.board.saveState());
  expect(again.board.digest()).toBe(used.board.digest());
  again.board.loadState(before.board.saveState());
  expect(again.board.digest()).toBe(before.board.digest());
});
