// The host's clocks. Only what is shown to people comes from here: nothing that a guest, a journal's digest or a replay can see.

/** Milliseconds from an arbitrary moment, for durations. */
export const nowMs = (): number => performance.now();

/** Now, as text for a journal's header: UTC, to the second. */
export const timestamp = (): string => new Date().toISOString().replace(/\.\d+/, '');

/** Lets timers, signals and streams have their turn. */
export const breathe = (): Promise<void> => new Promise((resolve) => {
  setImmediate(resolve);
});
