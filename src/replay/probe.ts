// One step of a machine under the magnifying glass: a copy of it runs until one more instruction has retired, in the reference engine, and
// tells everything: what it asked of the capability door, which checks it made, which exceptions and interrupts it took. For `retro explain` and `retro migrate`.
import type { Stamp } from '../../journal/events.ts';
import type { MachineHeader } from '../../journal/header.ts';
import type { BoardStop } from '../board/board.ts';
import type { Kvm, VmDelivery, VmTransition } from '../kvm/api.ts';
import { stampOf } from './course.ts';
import { copyMachine } from './mark.ts';
import type { Machine } from './machine.ts';

export type Answer = boolean | number | string;
export interface ProbedTransition extends VmTransition { readonly at: Stamp }

export interface Probe {
  /** Questions and answers up to the first exception or change of world, or up to the end of the instruction. */
  readonly asked: ReadonlyMap<string, Answer>;
  /** Questions after that: an instruction that faults is followed by the first one of the handler. */
  readonly askedLater: ReadonlyMap<string, Answer>;
  readonly transitions: readonly ProbedTransition[];
  readonly deliveries: readonly VmDelivery[];
  readonly stop: BoardStop;
  /** The copy, behind the step. */
  readonly after: Machine;
}

/** What happens where `machine` stands, if it has the CPU and the behaviours of `header`. The machine itself stays where it is. */
export function probe(machine: Machine, header: MachineHeader, kvm: Kvm): Probe {
  const after = copyMachine(machine, header, kvm, 'reference'), { vm } = after;
  const asked = new Map<string, Answer>(), askedLater = new Map<string, Answer>(), transitions: ProbedTransition[] = [], deliveries: VmDelivery[] = [];
  vm.onTransition = (transition) => { transitions.push({ ...transition, at: stampOf(after, transition) }); };
  vm.listen({
    asked(capability, answer) { (transitions.length + deliveries.length === 0 ? asked : askedLater).set(capability, answer); },
    delivery(delivery) { deliveries.push(delivery); },
  });
  const stop = after.board.run(BigInt(after.icount() + 1));
  vm.listen();
  return { asked, askedLater, transitions, deliveries, stop, after };
}
