// isa-debug-exit: a write to its port ends the guest, and what was written becomes the exit status. It has no state.

export const DEBUG_EXIT_PORT = 0xf4;
/** Ports that it decodes. */
export const DEBUG_EXIT_PORTS = 4;

/** The status of a process that ends with `code`, as QEMU's device has it: never 0, so that a guest which passes says 1. */
export const exitStatus = (code: number): number => ((code << 1) | 1) & 0xff;
