// What exists and has no row: the decoder refuses it with #UD, and this table says why. The comparison with iced-x86 holds the rest of the
// opcode space to account: an encoding that iced knows and we do not must be named here.

export const absent: readonly { readonly mnemonics: RegExp; readonly reason: string }[] = [
  { mnemonics: /^(LDTILECFG|STTILECFG|TILE\w+|TDP\w+|TCMM\w+)$/, reason: 'AMX: needs a register file of tiles; no model claims amx-tile' },
  { mnemonics: /^(XSTORE|XCRYPT\w+|XSHA\w+|MONTMUL|CCS_\w+|XSTORE_ALT|XSHA512_ALT|UNDOC)$/, reason: 'PadLock of Centaur and Zhaoxin (0F A6, 0F A7): no model claims xstore or xcrypt' },
  { mnemonics: /^(V4FN?MADD[PS]S|VP4DPWSSDS?)$/, reason: 'AVX512_4FMAPS and 4VNNIW: Knights Mill only' },
];
