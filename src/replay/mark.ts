// A place in a run that a machine can be put back to, as often as one likes: for searches that run the same instructions again and again,
// and for copies of a machine that may be run on. It lives in memory only; what outlives the process is a snapshot.
import type { MachineHeader } from '../../journal/header.ts';
import { PAGE_BYTES } from '../../journal/pages.ts';
import type { BoardState } from '../board/board.ts';
import type { Kvm, Tier } from '../kvm/api.ts';
import { assemble, type Machine } from './machine.ts';

export interface Mark {
  /** Marks where the machine stands now. */
  set(): void;
  /** Puts it back there. */
  back(): void;
}

const ZEROS = new Uint8Array(PAGE_BYTES);

interface State { readonly vcpus: readonly Uint8Array[]; readonly vm: unknown; readonly board: BoardState }
/** A deep copy: some of what is saved lives on in the machine. */
const stateOf = ({ vm, board }: Machine): State =>
  structuredClone({ vcpus: vm.vcpus.map((vcpu) => vcpu.saveState()), vm: vm.saveVmState(), board: board.saveState() });

function putState({ vm, board }: Machine, kept: State): void {
  const state = structuredClone(kept);
  vm.loadVmState(state.vm);
  state.vcpus.forEach((bytes, index) => vm.vcpus[index]!.loadState(bytes));
  board.loadState(state.board);
}

/** From now on the machine's dirty pages are the mark's: nobody else may take them. */
export function createMark(machine: Machine): Mark {
  const { vm } = machine;
  /** Every page that was ever written, as it was at the mark. */
  const pages = new Map<number, Uint8Array>();
  let state: State;
  const mark: Mark = {
    set() {
      for (const page of vm.takeDirtyPages()) pages.set(page, vm.ramPage(page).slice());
      state = stateOf(machine);
    },
    back() {
      for (const page of vm.takeDirtyPages()) vm.restoreRamPage(page, pages.get(page) ?? ZEROS);
      // Putting a page back has marked it again.
      vm.takeDirtyPages();
      putState(machine, state);
    },
  };
  mark.set();
  return mark;
}

/** Another machine in the same state, which may have another CPU and other behaviours. */
export function copyMachine(machine: Machine, header: MachineHeader, kvm: Kvm, tier: Tier): Machine {
  const copy = assemble(header, kvm, tier);
  putState(copy, stateOf(machine));
  for (let page = 0; page < machine.pageCount; page++) {
    const bytes = machine.vm.ramPage(page);
    if (Buffer.compare(bytes, ZEROS) !== 0) copy.vm.restoreRamPage(page, bytes);
  }
  return copy;
}
