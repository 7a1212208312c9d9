// A mistake of whoever drives the VM, as the errno that KVM gives for it. Thrown by `vm/` and `kvm/` and caught by the client; a guest
// can never cause one.

export type ErrnoName = 'EINVAL' | 'EEXIST' | 'ENOENT' | 'ENXIO' | 'EBUSY' | 'EFAULT' | 'E2BIG';

export class Errno extends Error {
  readonly code: ErrnoName;
  constructor(code: ErrnoName, message: string) {
    super(`${message} (${code})`);
    this.name = 'Errno';
    this.code = code;
  }
}
