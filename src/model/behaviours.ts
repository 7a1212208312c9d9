// Named choices where hardware, or versions of KVM, differ. A row: id, one sentence, its values and the source of each, the default.
// The core asks for a value through the capability door (`behaviour(id)`); users list, explain and change them.

interface Behaviour {
  readonly sentence: string;
  /** Value, and where it comes from: a manual, a patch, a version. */
  readonly values: Readonly<Record<string, string>>;
  readonly default: string;
}

export const behaviours = {
  'msr.unknown': {
    sentence: 'What RDMSR and WRMSR do with an MSR that the model does not have.',
    values: {
      fault: 'APM Vol. 3, "RDMSR" and "WRMSR"; SDM Vol. 2: #GP(0)',
      ignore: 'KVM with the module parameter kvm.ignore_msrs=1: reads give 0, writes are dropped',
    },
    default: 'fault',
  },
  'mwait.wait': {
    sentence: 'Whether MWAIT waits for a store to the monitored line or an interrupt, or ends at once.',
    values: {
      'ends-at-once': 'APM Vol. 3, "MWAIT": it may end for any reason; KVM executes it as a NOP (Linux 3.15, "emulate mwait and monitor as nop")',
    },
    default: 'ends-at-once',
  },
} as const satisfies Record<string, Behaviour>;

export type BehaviourId = keyof typeof behaviours;
/** Behaviours by id, without the literal types: for loops and look-ups by a string. */
export const behaviourRows: Readonly<Record<string, Behaviour>> = behaviours;

/** Sets of values under one name. A behaviour that a profile does not name has its default. */
export const profiles: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  architectural: {},
};
