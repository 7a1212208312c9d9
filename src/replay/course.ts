// The course of a run: a machine that goes forward and tells, as events, what happens to it. The recorder and the replayer drive the
// same course, so what one writes down the other meets again, at the same instruction counts.
import { isKind, type Event, type Input, type Kind, type Plain, type Stamp } from '../../journal/events.ts';
import { numberOf } from '../cpu/wide.ts';
import type { BoardStop } from '../board/board.ts';
import type { VmTransition } from '../kvm/api.ts';
import { digestOf, type Machine } from './machine.ts';

export interface Course {
  readonly machine: Machine;
  /** True after the event Ended. */
  readonly over: boolean;
  /** Runs until the instruction count is `until`, or to the end of the guest. */
  advance(until: number): void;
  /** Gives the machine an input, now. */
  apply(at: Stamp, input: Input): void;
  /** Ends the run here although the guest could go on. */
  stop(): void;
}

/** Output without an end of line becomes an event at this length. */
const LINE_BYTES = 1024;
const LINE_FEED = 10;

export function createCourse(machine: Machine, checkpointInterval: number, tell: (at: Stamp, event: Event) => void): Course {
  const { vm, board } = machine;
  const line = new Uint8Array(LINE_BYTES);
  let lineLength = 0, over = false;

  const now = (vcpu: number | null = null): Stamp => ({ vcpu, icount: machine.icount(), level: vcpu === null ? 0 : 1, smm: false });

  function tellLine(): void {
    if (lineLength === 0) return;
    const bytes = line.slice(0, lineLength);
    lineLength = 0;
    tell(now(), { kind: 'SerialOutput', bytes });
  }
  machine.onOutput = (byte) => {
    line[lineLength++] = byte;
    if (byte === LINE_FEED || lineLength === LINE_BYTES) tellLine();
  };
  vm.onTransition = (transition) => tell(stampOf(machine, transition), eventOf(transition));

  function end(reason: string, status: number | null): void {
    tell(now(), { kind: 'Ended', reason, status, state: digestOf(machine) });
    over = true;
  }

  function tellStop(stop: BoardStop): void {
    tellLine();
    switch (stop.kind) {
      case 'reached': return;
      case 'exited':
        tell(now(), { kind: 'DebugExit', status: stop.status });
        return end('exited', stop.status);
      case 'halted':
        tell(now(), { kind: 'Halted' });
        return end('halted', null);
      case 'shutdown':
        tell(now(stop.vcpu), { kind: 'Shutdown' });
        return end('shutdown', null);
      case 'debug': case 'failed': {
        const { reason, ...detail } = stop.exit;
        tell(now(stop.vcpu), { kind: 'Failed', reason, detail: detail as Record<string, Plain> });
        return end('failed', null);
      }
    }
  }

  return {
    machine,
    get over() { return over; },
    advance(until) {
      for (let at = machine.icount(); !over && at < until; at = machine.icount()) {
        const checkpoint = (Math.floor(at / checkpointInterval) + 1) * checkpointInterval;
        const stop = board.run(BigInt(Math.min(checkpoint, until)));
        if (stop.kind !== 'reached') tellStop(stop);
        else if (machine.icount() === checkpoint) {
          tellLine();
          tell(now(), { kind: 'Checkpoint', vcpus: vm.vcpus.map((vcpu) => vcpu.digest()), board: board.digest() });
        }
      }
    },
    apply(at, input) {
      give(machine, at, input);
      tell(at, input);
    },
    stop() {
      tellLine();
      end('stopped', null);
    },
  };
}

function give({ vm, board }: Machine, at: Stamp, input: Input): void {
  const vcpu = at.vcpu === null ? undefined : vm.vcpus[at.vcpu];
  switch (input.kind) {
    case 'SerialInput': return board.receive(input.bytes);
    case 'NonMaskableInterrupt': return vcpu?.nmi();
    case 'SystemManagementInterrupt': return vcpu?.smi();
    case 'ExternalInterrupt': return vcpu?.interrupt(input.vector);
    case 'MemoryWritten': return vm.writeMemory(input.guestPhysical, input.bytes);
    // Only a foreign client makes these, and it is not on our board.
    case 'Ioctl': case 'ReadCompleted': throw new Error(`our board has no use for the input ${input.kind}`);
    default: input satisfies never;
  }
}

/** The VM counts per vCPU, the journal for all together; the other vCPUs stand still meanwhile. */
export function stampOf({ vm }: Machine, { vcpu, icount, level, smm }: VmTransition): Stamp {
  let total = numberOf(icount);
  for (const other of vm.vcpus) if (other.id !== vcpu) total += numberOf(other.icount);
  return { vcpu, icount: total, level, smm };
}

/** Words of the VM that the journal has another word for. */
const journalKinds: Readonly<Record<string, Kind>> = { shutdown: 'TripleFault' };

function eventOf({ kind: word, detail }: VmTransition): Event {
  const kind = journalKinds[word] ?? word;
  if (!isKind(kind)) throw new Error(`the VM reports a transition “${kind}” that journal/events.ts does not declare`);
  return { kind, detail } as unknown as Event;
}
