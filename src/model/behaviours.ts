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
  'smm.io-restart': {
    sentence: 'Whether RSM can execute again the I/O instruction that an SMI came with (bit 16 of the SMM revision identifier).',
    values: {
      restart: 'APM Vol. 2, 10.2.6; SDM Vol. 3, 34.12: FFh in the I/O restart byte of the save area executes it again',
      absent: 'KVM and QEMU: the revision identifier is 00020064h (00020000h without long mode), the restart fields are 0 and not looked at (arch/x86/kvm/smm.c)',
    },
    default: 'restart',
  },
  'smm.auto-halt-restart': {
    sentence: 'Whether the save area says that an SMI ended a HLT, and RSM halts again.',
    values: {
      restart: 'APM Vol. 2, 10.2.5; SDM Vol. 3, 34.10: the auto-halt byte is 1, and while it stays 1 RSM returns to the HLT',
      absent: 'KVM: the byte is 0 and not looked at; RSM goes on behind the HLT (arch/x86/kvm/smm.c)',
    },
    default: 'restart',
  },
  'smm.interrupt-shadow': {
    sentence: 'What becomes of an SMI that arrives in the shadow of STI, MOV SS or POP SS.',
    values: {
      held: 'SDM Vol. 2, "STI" and "MOV" allow it: the SMI waits until the instruction after them is done',
      saved: 'KVM since 6.2 (fb28875fd7da, "KVM: x86: smm: preserve interrupt shadow in SMRAM"): taken at once, the shadow is in the save area and RSM restores it',
      lost: 'KVM before 6.2: taken at once, RSM returns without the shadow',
    },
    default: 'held',
  },
  'smm.rsm-nested-checks': {
    sentence: 'Whether RSM into a nested guest makes the checks again that VMRUN makes of the control area, which the handler may have changed.',
    values: {
      controls: 'KVM since 7.0 (be5fa8737d42, "KVM: SVM: check validity of VMCB controls when returning from SMM"): a control that VMRUN refuses is a shutdown',
      none: 'KVM before 7.0: the guest runs with whatever the VMCB says',
    },
    default: 'controls',
  },
  'smm.smbase-alignment': {
    sentence: 'Whether RSM shuts down when the SMBASE in the save area is not a multiple of 32 KiB.',
    values: {
      any: 'SDM Vol. 3, 34.11: processors from P6 on take any value; KVM takes any value',
      '32-kib': 'SDM Vol. 3, 34.11: the Intel486 and the Pentium shut down',
    },
    default: 'any',
  },
} as const satisfies Record<string, Behaviour>;

export type BehaviourId = keyof typeof behaviours;
/** Behaviours by id, without the literal types: for loops and look-ups by a string. */
export const behaviourRows: Readonly<Record<string, Behaviour>> = behaviours;

/** Sets of values under one name. A behaviour that a profile does not name has its default. */
export const profiles: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  architectural: {},
};
