// Exits to user space and their answers. An instruction that needs user space is left uncommitted; its accesses are answered one exit at a
// time, and it is executed again with the answers so far. Exit objects and their buffers are reused: an exit is valid until the next
// `run`. Every answered access goes into a rolling digest. Used by `run.ts`; the surface in `kvm/` names the same type.
import { placeOf, type Cpu } from '../cpu/state.ts';

/** Why KVM_RUN returned (`struct kvm_run.exit_reason`). A client answers `IoIn` and `MmioRead` by filling `data` before the next `run()`.
 * The object and `data` are valid until then. */
export type VcpuExit =
  | { readonly reason: 'IoOut'; readonly port: number; readonly size: 1 | 2 | 4; readonly data: Uint8Array }
  | { readonly reason: 'IoIn'; readonly port: number; readonly size: 1 | 2 | 4; readonly data: Uint8Array }
  | { readonly reason: 'MmioRead'; readonly address: number; readonly data: Uint8Array }
  | { readonly reason: 'MmioWrite'; readonly address: number; readonly data: Uint8Array }
  /** HLT with nothing in the kernel to wake the vCPU. */
  | { readonly reason: 'Hlt' }
  /** Triple fault. */
  | { readonly reason: 'Shutdown' }
  /** The instruction count given to `run` was reached. */
  | { readonly reason: 'Intr' }
  | { readonly reason: 'FailEntry'; readonly hardwareEntryFailureReason: bigint; readonly cpu: number }
  | { readonly reason: 'InternalError'; readonly suberror: number; readonly data: readonly bigint[] }
  | { readonly reason: 'Debug'; readonly exception: number; readonly pc: bigint; readonly dr6: bigint; readonly dr7: bigint }
  | { readonly reason: 'SystemEvent'; readonly type: number };

export type PortSize = 1 | 2 | 4;
export type DeviceReason = 'IoOut' | 'IoIn' | 'MmioRead' | 'MmioWrite';
interface PortExit { reason: 'IoOut' | 'IoIn'; port: number; size: PortSize; data: Uint8Array }
interface MmioExit { reason: 'MmioRead' | 'MmioWrite'; address: number; data: Uint8Array }

/** One access of the present instruction that user space has answered. */
interface Answer { reason: DeviceReason; address: number; length: number; readonly data: Uint8Array }

export interface ExitDoor {
  /** Port input by the instruction: its value, or -1: leave for user space with `exit()`. */
  portIn(port: number, size: PortSize): number;
  /** False: leave for user space. */
  portOut(port: number, size: PortSize, value: number): boolean;
  /** Up to 8 bytes of a device, into host address `host`. False: leave for user space. */
  mmioRead(address: number, length: number, host: number): boolean;
  mmioWrite(address: number, length: number, host: number): boolean;
  /** The exit that was asked for last. */
  exit(): VcpuExit;
  /** The instruction begins (again): its accesses are answered from the first one on. */
  restart(): void;
  /** User space comes back: the exit that is open becomes an answer. */
  answer(): void;
  /** The instruction has retired, or the vCPU's state was replaced. */
  clear(): void;
  /** Answers are waiting for the instruction at RIP. */
  hasAnswers(): boolean;
  /** The port access that was answered first for the instruction at RIP, if it was one. */
  answeredPort(): { readonly port: number; readonly size: PortSize; readonly isInput: boolean } | undefined;
  /** An exit is open. */
  isOpen(): boolean;

  /** IN and OUT by themselves need no second execution: opens the exit for one; and the value that user space gave. */
  openPort(isInput: boolean, port: number, size: PortSize, value: number): void;
  closePort(): number;
  /** The open exit came from `openPort`. */
  isPlainPort(): boolean;

  digest(): readonly [number, number];
  setDigest(digest: readonly [number, number]): void;
}

const ICOUNT = placeOf('icount') >> 2;

/** `seed` values are arbitrary and fixed. */
const FIRST_DIGEST = [0x243f6a88, 0x85a308d3] as const;

export function createExits(cpu: Cpu): ExitDoor {
  const { u8, u32 } = cpu;
  const ports = {
    1: { reason: 'IoOut', port: 0, size: 1, data: new Uint8Array(1) },
    2: { reason: 'IoOut', port: 0, size: 2, data: new Uint8Array(2) },
    4: { reason: 'IoOut', port: 0, size: 4, data: new Uint8Array(4) },
  } satisfies Record<PortSize, PortExit> as Record<PortSize, PortExit>;
  const mmio = Array.from({ length: 9 }, (_, length): MmioExit => ({ reason: 'MmioRead', address: 0, data: new Uint8Array(length) }));
  const answers: Answer[] = [];
  let count = 0, cursor = 0;
  /** The exit of `openPort` by its size, or 0: a number, because a reference costs a write barrier each time. */
  let plain: PortSize | 0 = 0;
  let open: PortExit | MmioExit | undefined;
  let first: number = FIRST_DIGEST[0], second: number = FIRST_DIGEST[1];

  /** Folds an access into the digest: what and where, the value, and when. */
  function note(what: number, value: number): void {
    first = Math.imul(first ^ what, 0x9e3779b1);
    first = Math.imul((first ^ first >>> 15) + value, 0x85ebca6b) ^ u32[ICOUNT]!;
    second = Math.imul(second + value ^ u32[ICOUNT + 1]!, 0xc2b2ae35) ^ what;
    second = (second << 13 | second >>> 19) + first | 0;
  }

  function valueOf(data: Uint8Array): number {
    let value = 0;
    for (let index = data.length - 1; index >= 0; index--) value = (value << 8 | data[index]!) ^ value >>> 24;
    return value;
  }

  const reasonCode = { IoOut: 0x10000000, IoIn: 0x20000000, MmioRead: 0x30000000, MmioWrite: 0x40000000 } as const;

  /** The answer to the next access of the instruction, if it is there already. */
  function next(reason: DeviceReason, address: number, length: number): Answer | undefined {
    if (cursor >= count) return undefined;
    const answer = answers[cursor]!;
    if (answer.reason !== reason || answer.address !== address || answer.length !== length) {
      // The client changed the vCPU between exits: what it answered belongs to another instruction.
      count = cursor;
      return undefined;
    }
    cursor++;
    return answer;
  }

  function openMmio(reason: 'MmioRead' | 'MmioWrite', address: number, length: number): MmioExit {
    const exit = mmio[length]!;
    exit.reason = reason;
    exit.address = address;
    open = exit;
    return exit;
  }

  function portExit(reason: 'IoOut' | 'IoIn', port: number, size: PortSize, value: number): PortExit {
    const exit = ports[size], { data } = exit;
    exit.reason = reason;
    exit.port = port;
    data[0] = value;
    if (size > 1) data[1] = value >>> 8;
    if (size > 2) {
      data[2] = value >>> 16;
      data[3] = value >>> 24;
    }
    return exit;
  }

  function numberOf(data: Uint8Array, size: PortSize): number {
    if (size === 1) return data[0]!;
    if (size === 2) return data[0]! | data[1]! << 8;
    return (data[0]! | data[1]! << 8 | data[2]! << 16 | data[3]! << 24) >>> 0;
  }

  return {
    portIn(port, size) {
      const answer = next('IoIn', port, size);
      if (answer !== undefined) return numberOf(answer.data, size);
      open = portExit('IoIn', port, size, 0);
      return -1;
    },
    portOut(port, size, value) {
      if (next('IoOut', port, size) !== undefined) return true;
      open = portExit('IoOut', port, size, value);
      return false;
    },
    mmioRead(address, length, host) {
      const answer = next('MmioRead', address, length);
      if (answer === undefined) {
        openMmio('MmioRead', address, length).data.fill(0);
        return false;
      }
      for (let index = 0; index < length; index++) u8[host + index] = answer.data[index]!;
      return true;
    },
    mmioWrite(address, length, host) {
      if (next('MmioWrite', address, length) !== undefined) return true;
      const { data } = openMmio('MmioWrite', address, length);
      for (let index = 0; index < length; index++) data[index] = u8[host + index]!;
      return false;
    },
    exit() {
      if (plain !== 0) return ports[plain] as VcpuExit;
      if (open === undefined) throw new Error('an instruction left for user space and asked nothing');
      return open as VcpuExit;
    },
    restart() { cursor = 0; },
    answer() {
      if (open === undefined) return;
      const { data, reason } = open, address = 'port' in open ? open.port : open.address;
      let slot = answers[count];
      if (slot === undefined) answers.push(slot = { reason, address, length: 0, data: new Uint8Array(8) });
      slot.reason = reason;
      slot.address = address;
      slot.length = data.length;
      slot.data.set(data);
      count++;
      note(reasonCode[reason] | data.length << 24 ^ address | 0, valueOf(data));
      open = undefined;
    },
    clear() {
      count = 0;
      cursor = 0;
      open = undefined;
      plain = 0;
    },
    hasAnswers: () => count !== 0,
    answeredPort() {
      if (count === 0) return undefined;
      const { reason, address, length } = answers[0]!;
      return reason === 'IoIn' || reason === 'IoOut' ? { port: address, size: length as PortSize, isInput: reason === 'IoIn' } : undefined;
    },
    isOpen: () => plain !== 0 || open !== undefined,
    openPort(isInput, port, size, value) {
      portExit(isInput ? 'IoIn' : 'IoOut', port, size, value);
      plain = size;
    },
    isPlainPort: () => plain !== 0,
    closePort() {
      const exit = ports[plain as PortSize], value = numberOf(exit.data, exit.size);
      note((exit.reason === 'IoIn' ? 0x20000000 : 0x10000000) | exit.size << 24 | exit.port, value);
      plain = 0;
      return value;
    },
    digest: () => [first >>> 0, second >>> 0],
    setDigest(digest) { [first, second] = digest; },
  };
}
