// What the world did wrong: no such file, a bad argument, a full disk. The message is one sentence, `advice` says what to do next.
// Only the command line and the web server catch it.

export class UserError extends Error {
  readonly code: string;
  readonly advice: string;
  constructor(code: string, message: string, advice: string) {
    super(message);
    this.name = 'UserError';
    this.code = code;
    this.advice = advice;
  }
}
