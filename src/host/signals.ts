// Control-C. The first one asks for an orderly end; a second one ends the process as usual.

/** Calls `stop` at the first SIGINT or SIGTERM; the function that is returned takes that back. */
export function onInterrupt(stop: () => void): () => void {
  const names = ['SIGINT', 'SIGTERM'] as const;
  const release = (): void => { for (const name of names) process.off(name, handle); };
  const handle = (): void => {
    release();
    stop();
  };
  for (const name of names) process.on(name, handle);
  return release;
}
