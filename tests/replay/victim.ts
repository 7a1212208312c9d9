// A process that records until it is killed. Before it goes on it says on standard output how many events are in the journal for
// everybody to see. Started by kill.test.ts: `victim.ts PATH [IMAGE COMMANDLINE]`; without an image the guest is the fake one.
import { readFileSync, writeSync } from 'node:fs';
import { openJournal } from '../../journal/store.ts';
import { createKvm } from '../../src/kvm/system.ts';
import { recordFake, machine } from './recording.ts';
import { fakeKvm } from './fake.ts';

const [path, image, commandLine] = process.argv.slice(2) as [string, string?, string?];
const breathe = (): Promise<void> => new Promise((resolve) => { setImmediate(resolve); });

/** Events that somebody else finds in the file. */
function committed(): number {
  const journal = openJournal(path);
  const { length } = journal;
  journal.close();
  return length;
}

const guest = image === undefined ? {}
  : { kernel: { name: 'guest', bytes: readFileSync(image) }, commandLine: commandLine!, machine: { ...machine, ramBytes: 1 << 27 }, checkpointInterval: 1 << 18 };
const events = recordFake(image === undefined ? fakeKvm({ transitionEvery: 40 }) : createKvm(), path, { tier: 'auto', breathe, ...guest });
events.subscribe({
  next: ({ event }) => { if (event.kind === 'Checkpoint' || event.kind === 'SnapshotTaken') writeSync(1, `${committed()}\n`); },
  complete: () => writeSync(1, 'complete\n'),
});
