// The version of this engine, as journals record it: that of package.json, which is not read at every start. A test compares the two.
export const VERSION = '0.1.0';
