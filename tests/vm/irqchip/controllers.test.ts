// The interrupt controllers by themselves: priorities, levels and edges, timers as functions of the time, who a message is for.
import { describe, expect, it } from 'vitest';
import * as ioapics from '../../../src/vm/irqchip/ioapic.ts';
import {
  acknowledge, advance, createLapic, deliverable, isDestination, readRegister, Register, request, setBase, timerDue, writeRegister, type Lapic,
} from '../../../src/vm/irqchip/lapic.ts';
import * as pics from '../../../src/vm/irqchip/pic.ts';
import * as pits from '../../../src/vm/irqchip/pit.ts';

const write = (lapic: Lapic, register: number, value: number, now = 0) => writeRegister(lapic, register, value, now, true);
function enabled(id = 0): Lapic {
  const lapic = createLapic(id);
  write(lapic, Register.spurious, 0x1ff);
  return lapic;
}

describe('the local APIC', () => {
  it('takes nothing while software has it disabled', () => {
    const lapic = createLapic(0);
    request(lapic, 0x40, false);
    expect(deliverable(lapic)).toBe(-1);
  });
  it('serves the highest vector first, and nothing of the same class until its end', () => {
    const lapic = enabled();
    for (const vector of [0x41, 0x55, 0x52]) request(lapic, vector, false);
    expect(acknowledge(lapic)).toBe(0x55);
    expect(deliverable(lapic)).toBe(-1);
    expect(write(lapic, Register.eoi, 0)).toEqual({ kind: 'eoi', vector: 0x55, level: false });
    expect(acknowledge(lapic)).toBe(0x52);
    write(lapic, Register.eoi, 0);
    write(lapic, Register.tpr, 0x40);
    expect(deliverable(lapic)).toBe(-1);
    write(lapic, Register.tpr, 0x30);
    expect(deliverable(lapic)).toBe(0x41);
  });
  it('its timer is a function of the time', () => {
    const lapic = enabled();
    write(lapic, Register.divide, 0xb);
    write(lapic, Register.timer, 0x20030);
    write(lapic, Register.initialCount, 100, 1000);
    expect(timerDue(lapic)).toBe(1100);
    expect(readRegister(lapic, Register.currentCount, 1040)).toBe(60);
    advance(lapic, 1350);
    expect(deliverable(lapic)).toBe(0x30);
    expect(timerDue(lapic)).toBe(1400);
    write(lapic, Register.timer, 0x10030, 1350);
    expect(timerDue(lapic)).toBe(Infinity);
    expect(readRegister(lapic, Register.currentCount, 1390)).toBe(10);
    expect(readRegister(lapic, Register.currentCount, 1400)).toBe(0);
  });
  it('knows which messages are for it', () => {
    const flat = enabled(2);
    write(flat, Register.ldr, 0x04000000);
    expect([2, 3, 0xff].map((id) => isDestination(flat, id, false, false))).toEqual([true, false, true]);
    expect([0x0c, 0x08].map((mask) => isDestination(flat, mask, true, false))).toEqual([true, false]);
    write(flat, Register.dfr, 0x0fffffff);
    write(flat, Register.ldr, 0x31000000);
    expect([0x33, 0x23, 0x32].map((mask) => isDestination(flat, mask, true, false))).toEqual([true, false, false]);
    const wide = enabled(0x23);
    setBase(wide, 0xfee00c00n);
    expect([0x23, 0xff].map((id) => isDestination(wide, id, false, true))).toEqual([true, false]);
    expect([0x20008, 0x30008].map((id) => isDestination(wide, id, true, true))).toEqual([true, false]);
  });
});

describe('the I/O APIC', () => {
  function withPin(low: number) {
    const ioapic = ioapics.createIoapic(), sent: number[] = [];
    const send = ({ vector }: ioapics.Message): void => { sent.push(vector); };
    const put = (register: number, value: number): void => {
      ioapics.writeIoapic(ioapic, 0, register, send);
      ioapics.writeIoapic(ioapic, 0x10, value, send);
    };
    put(0x10 + 2 * 5, low);
    return { ioapic, sent, put, line: (high: boolean): void => ioapics.setPin(ioapic, 5, high, send), end: (vector: number): void => ioapics.endOfInterrupt(ioapic, vector, send) };
  }
  it('sends an edge once, and loses one that comes while the pin is masked', () => {
    const { line, sent, put } = withPin(0x61);
    line(true);
    line(true);
    expect(sent).toEqual([0x61]);
    put(0x10 + 10, 0x10061);
    line(false);
    line(true);
    put(0x10 + 10, 0x61);
    expect(sent).toEqual([0x61]);
  });
  it('sends a level again after its end for as long as the line is high', () => {
    const { line, sent, end } = withPin(0x8062);
    line(true);
    expect(sent).toEqual([0x62]);
    end(0x62);
    expect(sent).toEqual([0x62, 0x62]);
    line(false);
    end(0x62);
    expect(sent).toEqual([0x62, 0x62]);
  });
});

describe('the 8259 pair', () => {
  it('gives the vector of the highest line, the second chip through line 2', () => {
    const pic = pics.createPic();
    pics.setPin(pic, 11, true);
    pics.setPin(pic, 4, true);
    expect(pics.output(pic)).toBe(true);
    expect(pics.acknowledge(pic)).toBe(0x73);
    expect(pics.output(pic)).toBe(false);
    pics.writePort(pic, 0xa0, 0x20);
    pics.writePort(pic, 0x20, 0x20);
    expect(pics.acknowledge(pic)).toBe(8 + 4);
  });
  it('is set up anew by four words, and keeps masked lines back', () => {
    const pic = pics.createPic();
    for (const [port, value] of [[0x20, 0x11], [0x21, 0x30], [0x21, 4], [0x21, 1], [0x21, 0xfe]] as const) pics.writePort(pic, port, value);
    pics.setPin(pic, 3, true);
    expect(pics.output(pic)).toBe(false);
    pics.setPin(pic, 0, true);
    expect(pics.acknowledge(pic)).toBe(0x30);
  });
});

describe('the 8254', () => {
  it('interrupts once in mode 0 and again and again in mode 2', () => {
    const pit = pits.createPit();
    const load = (mode: number, now: number): void => { for (const [port, value] of [[0x43, 0x30 | mode << 1], [0x40, 100], [0x40, 0]] as const) pits.writePort(pit, port, value, now); };
    load(0, 50);
    expect([pits.takeInterrupt(pit, 149), pits.takeInterrupt(pit, 150), pits.takeInterrupt(pit, 400)]).toEqual([false, true, false]);
    load(2, 1000);
    expect([pits.takeInterrupt(pit, 1100), pit.interruptAt, pits.takeInterrupt(pit, 1350), pit.interruptAt]).toEqual([true, 1200, true, 1400]);
  });
  it('counts down from when it was loaded, and gates the speaker channel by port 61h', () => {
    const pit = pits.createPit();
    for (const [port, value] of [[0x61, 1], [0x43, 0xb0], [0x42, 0], [0x42, 1]] as const) pits.writePort(pit, port, value, 10);
    expect([pits.readPort(pit, 0x42, 26), pits.readPort(pit, 0x42, 26)]).toEqual([240, 0]);
    expect([pits.readPort(pit, 0x61, 265) & 0x20, pits.readPort(pit, 0x61, 266) & 0x20]).toEqual([0, 0x20]);
  });
});
