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
  'smm.rsm-to-l2': {
    sentence: 'How an SMI leaves a nested guest and RSM goes back to it.',
    values: {
      architectural: 'APM Vol. 2, 10.2.3 and table 10-1: the save area holds guest flag, VMCB address, virtual interrupt, guest PAT, nested CR3, host CR0, CR4 and EFER; the VMCB is not written, GIF and CR2 stay',
      kvm: 'KVM, svm_enter_smm() and svm_leave_smm() in arch/x86/kvm/svm/svm.c: the SMI is a #VMEXIT and RSM a VMRUN inside KVM, so that '
        + '(1) the VMCB is written, with EXITCODE F0000000h (SVM_EXIT_SW); (2) GIF is 0 in the handler and 1 behind RSM (nested_svm_vmexit(), enter_svm_guest_mode()); '
        + '(3) the host state goes to VM_HSAVE_PA + 400h and comes back from there, whatever it is by then; (4) of the SVM fields of the save area only guest flag and VMCB address are filled in; '
        + '(5) the virtual interrupt comes back from the VMCB; (6) CR2 comes back from the VMCB (nested_vmcb02_prepare_save()); (7) RSM without memory at VM_HSAVE_PA is a shutdown',
    },
    default: 'architectural',
  },
  'smm.smbase-alignment': {
    sentence: 'Whether RSM shuts down when the SMBASE in the save area is not a multiple of 32 KiB.',
    values: {
      any: 'SDM Vol. 3, 34.11: processors from P6 on take any value; KVM takes any value',
      '32-kib': 'SDM Vol. 3, 34.11: the Intel486 and the Pentium shut down',
    },
    default: 'any',
  },
  'nsvm.vmrun-failure-gif': {
    sentence: 'What GIF is after a VMRUN that ends with VMEXIT_INVALID.',
    values: {
      cleared: 'APM Vol. 2, 15.17: #VMEXIT clears GIF; KVM since 7.1 (f85a6ce06e4a, "KVM: nSVM: Clear GIF on nested #VMEXIT(INVALID)", backported to stable)',
      kept: 'KVM before 7.1 without the backport: GIF stays as it was',
    },
    default: 'cleared',
  },
  'nsvm.eventinj-vectors': {
    sentence: 'Which types and vectors of EVENTINJ make VMRUN end with VMEXIT_INVALID.',
    values: {
      architectural: 'APM Vol. 2, 15.20: reserved types, vectors that are no exception of this processor, exceptions that the mode of the guest cannot raise (#OF, #BR in 64-bit mode)',
      'by-capability': 'KVM since 7.1 (7e79f71bca5c, "KVM: nSVM: Add missing consistency check for EVENTINJ"): #CP needs shadow stacks, #VC needs SEV-ES; the mode does not count',
      'fixed-list': 'the first version of that patch as it was meant (November 2025): one list for every vCPU, #CP and #VC in it',
      'fixed-list-as-posted': 'the same as it was posted: a mask of vector numbers where bits were meant, so that NMI passes and #DB does not',
      unchecked: 'KVM before 7.1: nothing is looked at',
    },
    default: 'architectural',
  },
  'nsvm.np-enable-check': {
    sentence: 'What VMRUN does with NP_ENABLE on a processor without nested paging.',
    values: {
      ignored: 'APM Vol. 2, 15.25.3 names no such check; KVM since 7.1 (e0b6f031d64c, "KVM: nSVM: Drop the non-architectural consistency check for NP_ENABLE")',
      checked: 'KVM before 7.1: VMEXIT_INVALID',
    },
    default: 'ignored',
  },
  'nsvm.ncr3-check': {
    sentence: 'Whether VMRUN looks at the reserved bits of nCR3.',
    values: {
      checked: 'APM Vol. 2, 15.25.4; KVM since 7.1 (b71138fcc362, "KVM: nSVM: Add missing consistency check for nCR3 validity")',
      unchecked: 'KVM before 7.1: the walk ends in a nested page fault',
    },
    default: 'checked',
  },
  'nsvm.consistency-cs-efer': {
    sentence: 'Whether VMRUN refuses a long-mode guest whose CS has L and D set.',
    values: {
      checked: 'APM Vol. 2, 15.5.1; KVM since 7.1 (96bd3e76a171, "KVM: nSVM: Add missing consistency check for EFER, CR0, CR4, and CS")',
      unchecked: 'KVM before 7.1: the guest starts',
    },
    default: 'checked',
  },
  'nsvm.vmcb-gpa-error': {
    sentence: 'What VMRUN, VMLOAD and VMSAVE do with a legal address where no memory is.',
    values: {
      'general-protection': 'KVM before 7.1 for VMRUN, and 01ddcdc55e09 ("KVM: nSVM: Always inject a #GP if mapping VMCB12 fails on nested VMRUN"): #GP(0)',
      'emulation-failure': 'KVM since 7.1 (2daf71bfd77d, "KVM: SVM: Fail emulation of VMRUN/VMLOAD/VMSAVE if mapping vmcb12 fails"): KVM_EXIT_INTERNAL_ERROR',
    },
    default: 'general-protection',
  },
  'nsvm.eventinj-cleared-on-exit': {
    sentence: 'What #VMEXIT leaves in EVENTINJ of the VMCB.',
    values: {
      cleared: 'APM Vol. 2, 15.20: the valid bit is clear, the rest as it was',
      zeroed: 'KVM since 7.1 (69b721a86d0d, "KVM: nSVM: Clear EVENTINJ fields in vmcb12 on nested #VMEXIT"): the field and the error code are 0',
      kept: 'KVM before 7.1: the next VMRUN injects the event again unless the hypervisor clears the field',
    },
    default: 'cleared',
  },
  'nsvm.svme-clear': {
    sentence: 'What happens when a nested guest clears EFER.SVME and nobody intercepts that.',
    values: {
      shutdown: 'APM Vol. 2, 15.4 leaves it undefined; KVM since 7.1 (cdc69269b18a, "KVM: nSVM: Triple fault L1 on unintercepted EFER.SVME clear by L2"): the vCPU leaves the guest and shuts down',
      'leaves-guest': 'KVM before 7.1: the vCPU leaves the guest without a #VMEXIT and goes on with its state',
    },
    default: 'shutdown',
  },
  'nsvm.vmmcall-unintercepted': {
    sentence: 'What VMMCALL in a nested guest does when it is not intercepted.',
    values: {
      undefined: 'APM Vol. 3, "VMMCALL": #UD; KVM since 7.1 (c36991c6f8d2, "KVM: nSVM: Raise #UD if unhandled VMMCALL isn\'t intercepted by L1")',
      hypercall: 'KVM before 7.1: it is a hypercall to KVM',
    },
    default: 'undefined',
  },
  'nsvm.invlpga-svme': {
    sentence: 'Whether INVLPGA needs EFER.SVME.',
    values: {
      required: 'APM Vol. 3, "INVLPGA": #UD without it; KVM since 7.1 (d99df02ff427, "KVM: SVM: Inject #UD for INVLPGA if EFER.SVME=0")',
      ignored: 'KVM before 7.1: it executes at CPL 0',
    },
    default: 'required',
  },
} as const satisfies Record<string, Behaviour>;

export type BehaviourId = keyof typeof behaviours;
/** Behaviours by id, without the literal types: for loops and look-ups by a string. */
export const behaviourRows: Readonly<Record<string, Behaviour>> = behaviours;

/** What KVM does differently in every version, for want of hardware or a patch. */
const kvmSmm = { 'smm.io-restart': 'absent', 'smm.auto-halt-restart': 'absent', 'smm.rsm-to-l2': 'kvm' } as const;
/** Nested SVM before the series that was merged for 7.1. */
const nsvmBefore71 = {
  'nsvm.vmrun-failure-gif': 'kept', 'nsvm.eventinj-vectors': 'unchecked', 'nsvm.np-enable-check': 'checked', 'nsvm.ncr3-check': 'unchecked',
  'nsvm.consistency-cs-efer': 'unchecked', 'nsvm.vmcb-gpa-error': 'general-protection', 'nsvm.eventinj-cleared-on-exit': 'kept',
  'nsvm.svme-clear': 'leaves-guest', 'nsvm.vmmcall-unintercepted': 'hypercall', 'nsvm.invlpga-svme': 'ignored',
} as const;

interface Profile {
  readonly sentence: string;
  /** A behaviour that is not named here has its default. */
  readonly values: Readonly<Record<string, string>>;
}

/** Sets of values under one name. Which version a value belongs to stands with the value. */
export const profiles: Readonly<Record<string, Profile>> = {
  architectural: { sentence: 'What the APM and the SDM say; where they leave a choice, what processors do.', values: {} },
  'kvm-6.1': {
    sentence: 'KVM of Linux 6.1 as released, without what was backported to it later.',
    values: { ...kvmSmm, 'smm.interrupt-shadow': 'lost', 'smm.rsm-nested-checks': 'none', ...nsvmBefore71 },
  },
  'kvm-6.15': {
    sentence: 'KVM of Linux 6.15.',
    values: { ...kvmSmm, 'smm.interrupt-shadow': 'saved', 'smm.rsm-nested-checks': 'none', ...nsvmBefore71 },
  },
  'kvm-7.0': {
    sentence: 'KVM of Linux 7.0: RSM checks the controls of a nested guest again.',
    values: { ...kvmSmm, 'smm.interrupt-shadow': 'saved', ...nsvmBefore71 },
  },
  'kvm-7.1': {
    sentence: 'KVM of Linux 7.1: with the nested SVM fixes of kvm-x86-nested-7.1, the EVENTINJ check among them.',
    values: { ...kvmSmm, 'smm.interrupt-shadow': 'saved', 'nsvm.eventinj-vectors': 'by-capability', 'nsvm.vmcb-gpa-error': 'emulation-failure', 'nsvm.eventinj-cleared-on-exit': 'zeroed' },
  },
};

/** The value of every behaviour where some are chosen. */
export const completeBehaviours = (chosen: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(behaviourRows).map(([id, row]) => [id, chosen[id] ?? row.default]));

/** Only what differs from the defaults: how a journal's header says it. */
export const withoutDefaults = (chosen: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(chosen).filter(([id, value]) => behaviourRows[id]?.default !== value));

/** Names of the profiles in which a behaviour has a value. */
export const profilesWith = (id: string, value: string): string[] =>
  Object.keys(profiles).filter((name) => (profiles[name]!.values[id] ?? behaviourRows[id]!.default) === value);

/** The profile that is exactly these choices, if one is. */
export const profileOf = (chosen: Readonly<Record<string, string>>): string | undefined =>
  Object.keys(profiles).find((name) => Object.keys(behaviourRows).every((id) => (profiles[name]!.values[id] ?? behaviourRows[id]!.default) === (chosen[id] ?? behaviourRows[id]!.default)));
