// RCPPS and RSQRTPS, number by number: approximations with a relative error below 1.5 * 2^-12 and without exceptions (APM Vol. 4, "RCPPS").
// Processors differ in the last digits; these are those of Zen 4. Called through `functions.ts`; it must not know a vector.
//
// The native vectors show how that processor does it: 12 fraction bits of the operand (and for roots whether its exponent is even) choose the
// 12 fraction bits of the result, as the sum of an entry of a table for the first 8 bits, and one for the first and the last 4, all exact in
// every recorded case. Cases determine about half of the entries. The rest follows the rule that those obey: the second table falls linearly
// and rounded in each of its rows, the first one is the mean of what remains, rounded. It gave 23 of 24 results that had been kept back;
// where it errs, a last digit differs.

/** Three hexadecimal digits for each entry; by 8 bits of the operand, for roots even biased exponents in the second half. */
const entriesOf = (digits: string): Uint16Array => Uint16Array.from({ length: digits.length / 3 }, (_, at) => parseInt(digits.slice(3 * at, 3 * at + 3), 16));
/** One digit to base 36 for each entry: rows by the first 4 bits of the operand, columns by its last 4. */
const offsetsOf = (digits: string): Uint8Array => Uint8Array.from(digits, digit => parseInt(digit, 36));

const reciprocalEntries = entriesOf(
  'fe2fc2fa3f83f65f46f27f09eebecdeafe92e75e58e3be1ee03de7dcbdb0d94d79d5ed43d28d0dcf3cd9cbfca5c8bc72' +
  'c5ac41c28c0fbf7bdebc6baeb96b7eb67b4fb38b21b0aaf3addac7ab0a9aa84a6ea58a42a2da17a029ed9d89c39ae99a' +
  '98697295e94a93692290e8fb8e78d48c08ad89a88787486285083e82b8198077f57e37d17bf7ae79c78b779768757746' +
  '7367257157046f36e36d36c26b26a26926826726626536436346256156065f75e85d95ca5bb5ac59e58f581572564555' +
  '54853a52b51d5105024f44e64d94cb4bd4b04a349548847b46e46145444743b42e4214144083fb3ef3e23d63ca3bd3b1' +
  '3a639a38e38237636a35e35334733b33032431930e3022f72ec2e12d62cb2c02b52aa29f29428927e27426925f254249' +
  '23f23522b22021620c2021f81ed1e31d91cf1c61bc1b21a819e19518b18117816e16515b15214813f13612d12311a111' +
  '1080ff0f60ed0e40db0d30ca0c10b80af0a709e09508d08407c07306b06205a052049041039031028020018010008000',
);
const reciprocalOffsets = offsetsOf(
  'sqpnljhfdba86420pomkjhfeca975420mljihfecb9865320kjigfecba8764320ihgfecba97654310hgfdcba987653210' +
  'fedcba9876543210edcba99876543210dcbba98766543210cbba987765433210ba99876654432110a998776554332110' +
  '9988766544322110998776654433221088776655433221108877665443322110',
);
const rootEntries = entriesOf(
  'ff1fe1fd1fc2fb2fa2f93f84f74f65f56f47f38f29f1bf0cefeeefee1ed2ec4eb6ea8e9ae8ce7ee70e62e54e47e39e2c' +
  'e1fe12e04df7deaddddd0dc3db6da9d9dd90d83d77d6ad5ed52d46d3ad2dd21d15d09cfdcf1ce6cdaccecc2cb7cabca0' +
  'c94c89c7ec72c67c5cc51c46c3bc30c25c1ac0fc04bfabefbe4bdabcfbc5bbabb0ba5b9bb91b87b7cb72b68b5eb54b4a' +
  'b41b37b2db23b19b10b06afcaf3ae9ae0ad6acdac3abaab1aa8a9fa95a8ca83a7aa71a68a5fa56a4da44a3ba33a2aa21' +
  'a19a10a079ff9f69ee9e59dd9d49cc9c39bb9b39aa9a299a99298a98297a97296a96295a95294a94293a93292b92391b' +
  '91390b9038fc8f48ed8e58de8d68cf8c78c08b88b18aa8a289b89488d88687e87787086986285b85484d84683f838831' +
  '82a82381c81680f8088017fa7f47ed7e67e07d97d27cc7c57bf7b87b27ab7a579e79879178b78577e77877276b76575f' +
  '75875274c74674073973372d72772171b71570f7097036fd6f86f26ec6e66e06da6d56cf6c96c36bd6b86b26ac6a76a1' +
  '69668b68067466965f65364963e63362861e6136095fe5f45ea5e05d65cb5c15b75ad5a359959058657c57256955f556' +
  '54d54353a53152751e51550c5034fa4f14e84df4d64cd4c44bb4b34aa4a149949048847f47746e46645e45644d44543d' +
  '43642e42641e41640e4063fe3f63ee3e73df3d73d03c83c13b93b13aa3a339b39438d38537e37737036836135a35334c' +
  '34633f33833132a32331c31530f3083012fb2f42ed2e72e02d92d32cc2c62bf2b92b32ac2a629f29929328d28628027a' +
  '27426e26826225c25625024a24423e23823222c22622021b21520f2092031fe1f81f21ed1e71e21dc1d61d11cb1c61c0' +
  '1bb1b61b01ab1a51a019b19519018b18518017b17617116b16716115c15715214d14814313e13913412f12a12512011b' +
  '11611210d1081030fe0f90f50f00eb0e60e20dd0d80d40cf0ca0c50c10bd0b80b30af0aa0a60a109d09809408f08b087' +
  '08207e07907507106c06806405f05b05705304e04a04604203d03903503102d02902402001c01801401000c008004000',
);
const rootOffsets = offsetsOf(
  'edcba98776543210dcbba98765443210cbaa987665432210ba99876654432110aa98876554332110a998776554332210' +
  '998776655433221088776654433221108776655443322110766554433322110077665554433221107665544433221100' +
  '6655544332221100665544433322111066555443332221105554443332211100aa988766543321109987765544322100' +
  '887765544332110088776654433221107766554433221110776655443322211066554433322110006555443332221100' +
  '555444332221110055544433222111005544433322211100544433322211100044433332221111004443332222111100' +
  '44433332221111004443333222211100',
);

const INFINITY = 0x7f800000, SMALLEST = 0x00800000, QUIET = 0x00400000, INDEFINITE = 0xffc00000;

const lookUp = (entries: Uint16Array, offsets: Uint8Array, index: number): number => entries[index >> 4]! + offsets[index >> 8 << 4 | index & 15]!;
/** NaNs become quiet; denormals count as zeros. Undefined for any other number. */
const special = (single: number, magnitude: number): number | undefined =>
  magnitude > INFINITY ? single | QUIET : magnitude < SMALLEST ? single & 0x80000000 | INFINITY : undefined;

/** The bits of a single-precision number to those of its reciprocal. Results that would be tiny are 0. */
export function reciprocal(single: number): number {
  const magnitude = single & 0x7fffffff, sign = single & 0x80000000, exponent = 253 - (magnitude >> 23);
  return (special(single, magnitude) ?? (exponent <= 0 ? sign
    : sign | exponent << 23 | lookUp(reciprocalEntries, reciprocalOffsets, magnitude >> 11 & 0xfff) << 11)) >>> 0;
}

/** The bits of a single-precision number to those of the reciprocal of its square root. */
export function reciprocalRoot(single: number): number {
  const magnitude = single & 0x7fffffff, exponent = magnitude >> 23, even = exponent & 1 ? 0 : 0x1000;
  return (special(single, magnitude) ?? (magnitude !== single >>> 0 ? INDEFINITE : magnitude === INFINITY ? 0
    : 380 - exponent >> 1 << 23 | lookUp(rootEntries, rootOffsets, even | magnitude >> 11 & 0xfff) << 11)) >>> 0;
}
