// What can be wrong with a journal, as one error type. Only the command line and the web server catch it: the message is a
// sentence about this file, and ends with what to do next.

export type JournalErrorCode =
  /** There is no such file, or it cannot be opened. */
  | 'cannot-open'
  /** A journal would be created where a file is already. */
  | 'exists'
  /** The file is something else. */
  | 'not-a-journal'
  /** Written by a newer engine, in a format that this one cannot read. */
  | 'too-new'
  /** The content breaks a rule of the format. */
  | 'corrupt'
  /** What was asked for is not in this journal. */
  | 'no-such-position'
  /** The disk is full, or writing failed. */
  | 'cannot-write';

export class JournalError extends Error {
  readonly code: JournalErrorCode;
  constructor(code: JournalErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'JournalError';
    this.code = code;
  }
}

/** Words of the file in a message: they may be long, and meant for a terminal to obey. */
const quoted = (text: string): string => text.slice(0, 200).replace(/[^\x20-\x7e\u00a0-\uffff]/g, '?');

/** Content that breaks the format. `where` names the row, and the byte in it where there is one. */
export const corrupt = (where: string, what: string): JournalError =>
  new JournalError('corrupt', `The journal is damaged: ${quoted(where)}: ${quoted(what)}. Use another copy of it, or record the guest again.`);
