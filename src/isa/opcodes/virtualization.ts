// SVM (APM Vol. 3, chapter 4) and VMX (SDM Vol. 3C, chapter 31).
import type { Row } from './row.ts';

export const virtualization: readonly Row[] = [
  ['VMRUN', '0F 01 D8', '', '+svm'],
  ['VMGEXIT', 'F3 0F 01 D9', '', '+sev_es'],
  ['VMGEXIT', 'F2 0F 01 D9', '', '+sev_es'],
  ['VMMCALL', '0F 01 D9'],
  ['VMLOAD', '0F 01 DA', '', '+svm'],
  ['VMSAVE', '0F 01 DB', '', '+svm'],
  ['STGI', '0F 01 DC', '', '+svm'],
  ['CLGI', '0F 01 DD', '', '+svm'],
  ['SKINIT', '0F 01 DE', '', '+skinit'],
  ['INVLPGA', '0F 01 DF', '', '+svm'],
  ['VMCALL', 'NP 0F 01 C1'],
  ['VMLAUNCH', 'NP 0F 01 C2', '', '+vmx'],
  ['VMRESUME', 'NP 0F 01 C3', '', '+vmx'],
  ['VMXOFF', 'NP 0F 01 C4', '', '+vmx'],
  ['VMFUNC', 'NP 0F 01 D4', '', '+vmx'],
  ['VMREAD', 'NP 0F 78 /r', 'Ey,Gy', 'f64 +vmx'],
  ['VMWRITE', 'NP 0F 79 /r', 'Gy,Ey', 'f64 +vmx'],
  ['VMPTRLD', 'NP 0F C7 /6', 'Mq', '+vmx'],
  ['VMCLEAR', '66 0F C7 /6', 'Mq', '+vmx'],
  ['VMXON', 'F3 0F C7 /6', 'Mq', '+vmx'],
  ['VMPTRST', 'NP 0F C7 /7', 'Mq', '+vmx'],
  ['INVEPT', '66 0F 38 80 /r', 'Gy,Mdq', 'f64 +vmx'],
  ['INVVPID', '66 0F 38 81 /r', 'Gy,Mdq', 'f64 +vmx'],
];
