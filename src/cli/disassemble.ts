// Machine code as text. The disassembler is loaded only when something is shown.

export interface Line { readonly address: bigint; readonly bytes: Uint8Array; readonly text: string }

/** Up to `count` instructions from `rip` on. */
export async function disassemble(bytes: Uint8Array, bits: 16 | 32 | 64, rip: bigint, count: number): Promise<Line[]> {
  const { Decoder, DecoderOptions, Formatter, FormatterSyntax } = (await import('iced-x86')).default;
  const decoder = new Decoder(bits, bytes, DecoderOptions.None), formatter = new Formatter(FormatterSyntax.Nasm);
  decoder.ip = rip;
  const found: Line[] = [];
  while (found.length < count && decoder.canDecode) {
    const at = decoder.position, instruction = decoder.decode();
    found.push({ address: instruction.ip, bytes: bytes.slice(at, decoder.position), text: formatter.format(instruction) });
    instruction.free();
  }
  decoder.free();
  formatter.free();
  return found;
}
