// Everything that can be recorded. The table `kinds` names each event, its class and its fields; the types, the codec and the
// documentation in README.md follow it. The VM reports its transitions in these words; nothing here knows how they are stored.

/** Plain data: what a payload may hold. */
export type Plain = null | boolean | number | bigint | string | Uint8Array | readonly Plain[] | { readonly [key: string]: Plain };

/** An `input` comes from outside the guest and cannot be recomputed; a `transition` is computed, and recorded to be checked. */
export type EventClass = 'input' | 'transition';

/** How a field is encoded and checked, and its type in TypeScript. */
export interface FieldTypes {
  /** 0 to 2^53 - 1. */
  natural: number;
  /** A natural number, or null for none. */
  optionalNatural: number | null;
  text: string;
  bytes: Uint8Array;
  /** 64 bits as 16 lower-case hex digits. */
  digest: string;
  digests: readonly string[];
  /** Names with plain values. */
  detail: Readonly<Record<string, Plain>>;
}
export type FieldType = keyof FieldTypes;

interface KindRow { readonly class: EventClass; readonly fields: Readonly<Record<string, FieldType>> }
const input = <const F extends Record<string, FieldType>>(fields: F) => ({ class: 'input' as const, fields });
const transition = <const F extends Record<string, FieldType>>(fields: F) => ({ class: 'transition' as const, fields });

/** The order of the fields is their order in the payload: new ones go to the end. */
export const kinds = {
  /** Bytes that arrive on the first serial port. */
  SerialInput: input({ bytes: 'bytes' }),
  /** KVM_NMI on the vCPU. */
  NonMaskableInterrupt: input({}),
  /** KVM_INTERRUPT: an external interrupt is queued on the vCPU. */
  ExternalInterrupt: input({ vector: 'natural' }),
  /** A client's ioctl: on the VM, or on the vCPU that the event names. */
  Ioctl: input({ number: 'natural', argument: 'bytes', result: 'natural', output: 'bytes' }),
  /** User space wrote to guest memory. */
  MemoryWritten: input({ guestPhysical: 'natural', bytes: 'bytes' }),
  /** A foreign client's answer to a port or MMIO read. */
  ReadCompleted: input({ data: 'bytes' }),
  /** KVM_SMI on the vCPU. */
  SystemManagementInterrupt: input({}),

  /** What the guest sent to the first serial port: up to the end of a line, to 1024 bytes, or to the next checkpoint. */
  SerialOutput: transition({ bytes: 'bytes' }),
  /** VMRUN entered L2, or failed to: the detail says which checks failed. */
  Vmrun: transition({ detail: 'detail' }),
  /** #VMEXIT, or a VM exit (VMX). */
  VmExit: transition({ detail: 'detail' }),
  /** VMLAUNCH or VMRESUME. */
  VmEntry: transition({ detail: 'detail' }),
  Smi: transition({ detail: 'detail' }),
  Rsm: transition({ detail: 'detail' }),
  Init: transition({ detail: 'detail' }),
  Startup: transition({ detail: 'detail' }),
  /** A third fault while a double fault was delivered: the vCPU shuts down. */
  TripleFault: transition({ detail: 'detail' }),
  /** An exit to a user space that is not our board. */
  UserspaceExit: transition({ detail: 'detail' }),

  /** At fixed instruction counts: the digest of every vCPU, and of the board with every access to its devices so far. */
  Checkpoint: transition({ vcpus: 'digests', board: 'digest' }),
  /** A snapshot of this position is in the journal: its number, and the digest of its record and page list. */
  SnapshotTaken: transition({ snapshot: 'natural', digest: 'text' }),
  /** The guest wrote to the debug-exit port. */
  DebugExit: transition({ status: 'natural' }),
  /** Every vCPU halted, and nothing could wake one. */
  Halted: transition({}),
  /** The vCPU is in shutdown. */
  Shutdown: transition({}),
  /** The core gave up: KVM_EXIT_INTERNAL_ERROR, KVM_EXIT_FAIL_ENTRY or a debug exit that nobody asked for. */
  Failed: transition({ reason: 'text', detail: 'detail' }),
  /** The last event: why the run is over, and the digest of all vCPUs, the board and all of RAM. */
  Ended: transition({ reason: 'text', status: 'optionalNatural', state: 'text' }),
} as const satisfies Record<string, KindRow>;

export type Kind = keyof typeof kinds;
export type EventOf<K extends Kind> = K extends Kind
  ? { readonly kind: K } & { readonly [F in keyof (typeof kinds)[K]['fields']]: FieldTypes[Extract<(typeof kinds)[K]['fields'][F], FieldType>] }
  : never;
/** Anything that can be recorded, told apart by `kind`. */
export type Event = EventOf<Kind>;
export type Input = EventOf<{ [K in Kind]: (typeof kinds)[K]['class'] extends 'input' ? K : never }[Kind]>;

export const isKind = (name: string): name is Kind => Object.hasOwn(kinds, name);
export const classOf = (kind: Kind): EventClass => kinds[kind].class;
export const isInput = (event: Event): event is Input => classOf(event.kind) === 'input';

/** 0: not about a vCPU; 1: the guest; 2: the guest's guest. */
export type Level = 0 | 1 | 2;

/** Where an event happened. */
export interface Stamp {
  /** The vCPU that it happened to; null for the VM or the board as a whole. */
  readonly vcpu: number | null;
  /** Instructions retired by all vCPUs together before it: the clock of the journal. */
  readonly icount: number;
  readonly level: Level;
  readonly smm: boolean;
}

/** An event in its place in the journal. */
export interface Recorded {
  /** 0 for the first. */
  readonly seq: number;
  readonly at: Stamp;
  readonly event: Event;
}

/** VMs have fewer vCPUs than this. */
export const MAX_VCPUS = 1024;
