// The shape of a row of the opcode tables. Every file of this folder is a list of rows in the manual's notation; `../tables.ts` reads
// them when they are first needed. A row says bytes, names and widths, and never what an instruction does.

/** Mnemonic, opcode, operands separated by commas, notes separated by spaces.
 *
 * Opcode (SDM Vol. 2A, 3.1.1): `80 /0`, `0F AF /r`, `50+r`, `0F 80+cc`, `0F 01 C8` (a fixed ModRM), `D9 C0+i`, `REX.W 0F C7 /1`,
 * with a mandatory prefix in front: `66`, `F3`, `F2`, `NP` (none of the three), `NFx` (neither F2 nor F3). Without one the three
 * prefixes do not choose the row. `VEX.128.66.0F38.W0 18 /r`, and in the same way `EVEX.` and `XOP.`; what is left out is free, but
 * without 66, F3 or F2 the implied prefix must be none.
 *
 * Notes: `i64` not in 64-bit mode; `o64` only in 64-bit mode; `d64` 64 bits are the default operand size in 64-bit mode, and 32 are not
 * available; `f64` 64 bits always in 64-bit mode; `lock` LOCK is allowed when the destination is memory; `string` a REP prefix repeats
 * it; `reg`, `mem` ModRM must name a register, memory (where no operand says so); `anymod` mod is ignored, rm is a register;
 * `nob` not with REX.B; `no66` not with 66; `vsib` the index is a vector register; `+name` needs the CPUID feature of this name (QEMU's
 * spelling), and a second one the second feature.
 *
 * EVEX only (SDM Vol. 2, 2.7): `mask` an opmask may be given, `zero` zeroing too, `needmask` one must be; `distinct` the destination
 * must be no source; `b32` (`b16`, `b64`) memory can be a broadcast element of this width; `er`, `sae` the b bit of a register form means
 * rounding, suppressed exceptions; `n8`..`n64` the displacement counts elements of this width where the operand is wider. The field `256+`
 * is a length of 256 or 512. */
export type Row = readonly [mnemonic: string, opcode: string, operands?: string, notes?: string];
