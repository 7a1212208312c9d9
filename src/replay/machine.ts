// A machine made from a header: VM and board, in any tier. Recording, replaying and seeking all build theirs here, so that a header
// means the same machine to each.
import { packPlain } from '../../journal/codec.ts';
import type { MachineHeader } from '../../journal/header.ts';
import { PAGE_BYTES, sha256 } from '../../journal/pages.ts';
import { createBoard, type Board } from '../board/board.ts';
import type { Kvm, Tier, Vm } from '../kvm/api.ts';

export interface Machine {
  readonly vm: Vm;
  readonly board: Board;
  readonly pageCount: number;
  /** Instructions retired by all vCPUs together: the clock of the journal. */
  icount(): number;
  /** Where the bytes go that the guest sends to its serial port. */
  onOutput: (byte: number) => void;
}

export function assemble(header: MachineHeader, kvm: Kvm, tier: Tier): Machine {
  const { model: cpu, behaviours, ramBytes, seed, quantum, tscKhz, cpuCount } = header;
  const vm = kvm.createVm({ cpu, behaviours, ramBytes, tier, seed, quantum, tscKhz });
  const board = createBoard(vm, { cpuCount, quantum, tscKhz, onOutput: (byte) => machine.onOutput(byte) });
  const machine: Machine = { vm, board, pageCount: ramBytes / PAGE_BYTES, icount: () => Number(board.icount()), onOutput: () => {} };
  return machine;
}

/** Digest of everything that the future of the machine depends on: vCPUs, VM, board, all of RAM. */
export function digestOf({ vm, board }: Machine): string {
  const rest = packPlain([vm.saveVmState(), board.saveState(), vm.memoryDigest()]);
  return sha256(...vm.vcpus.map((vcpu) => vcpu.saveState()), rest).slice(0, 32);
}
