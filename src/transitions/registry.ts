// Every consistency check by its id, for whoever explains one: what is illegal, and where the manual says so. The tables stand beside the
// transitions that make them.
import { changeChecks, controlChecks, xcr0Checks } from './controls.ts';
import { resumeChecks } from './smm/resume.ts';
import { vmrunChecks } from './svm/checks.ts';

export interface DescribedCheck { readonly id: string; readonly what: string; readonly reference: string }

/** Checks that are made on the way, where a row has nothing to look at yet. */
const onTheWay: readonly DescribedCheck[] = [
  {
    id: 'vmrun.page-directory-pointers', what: 'A present PAE page-directory pointer of the guest has a reserved bit set.',
    reference: 'APM Vol. 2, 5.2.3 and 15.5.1: the guest\'s CR3 cannot be loaded',
  },
  {
    id: 'vmrun.msrpm-unreadable', what: 'The MSR permissions map lies where no memory is.',
    reference: 'APM Vol. 2, 15.11; KVM ends such a VMRUN with VMEXIT_INVALID',
  },
];

const byId = new Map([...controlChecks, ...changeChecks, ...xcr0Checks, ...vmrunChecks, ...resumeChecks, ...onTheWay]
  .map(({ id, what, reference }: DescribedCheck) => [id, { id, what, reference }]));

export const findCheck = (id: string): DescribedCheck | undefined => byId.get(id);
