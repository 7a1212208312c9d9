// The three kinds of address, told apart by the compiler. A linear (guest-virtual) address is a bigint, or two 32-bit halves on hot
// paths; guest-physical addresses (52 bits) and RAM offsets are numbers that must not be taken for each other.

declare const kind: unique symbol;

/** A linear address, 64 bits. */
export type GuestVirtual = bigint & { readonly [kind]?: 'GuestVirtual' };
/** A guest-physical address, below 2^52. */
export type GuestPhysical = number & { readonly [kind]: 'GuestPhysical' };
/** Bytes from the start of the VM's RAM. The host address of it is `RAM + offset`. */
export type RamOffset = number & { readonly [kind]: 'RamOffset' };

export const guestPhysical = (address: number): GuestPhysical => address as GuestPhysical;
export const ramOffset = (offset: number): RamOffset => offset as RamOffset;

export const PAGE_SIZE = 4096;
export const PAGE_SHIFT = 12;
