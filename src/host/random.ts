// The host's randomness: draws the seed of a recording when the user gave none. The journal's header keeps the seed.
import { randomBytes } from 'node:crypto';

export const drawSeed = (): bigint => randomBytes(8).readBigUInt64LE();
