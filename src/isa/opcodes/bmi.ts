// BMI1, BMI2 and TBM: bit manipulation on general registers, encoded with VEX or XOP. VEX.W counts in 64-bit mode only.
// APM Vol. 3, chapter 3.
import type { Row } from './row.ts';

export const bmi: readonly Row[] = [
  ['ANDN', 'VEX.LZ.0F38 F2 /r', 'Gy,By,Ey', '+bmi1'],
  ['BLSR', 'VEX.LZ.0F38 F3 /1', 'By,Ey', '+bmi1'],
  ['BLSMSK', 'VEX.LZ.0F38 F3 /2', 'By,Ey', '+bmi1'],
  ['BLSI', 'VEX.LZ.0F38 F3 /3', 'By,Ey', '+bmi1'],
  ['BZHI', 'VEX.LZ.0F38 F5 /r', 'Gy,Ey,By', '+bmi2'],
  ['PEXT', 'VEX.LZ.F3.0F38 F5 /r', 'Gy,By,Ey', '+bmi2'],
  ['PDEP', 'VEX.LZ.F2.0F38 F5 /r', 'Gy,By,Ey', '+bmi2'],
  ['MULX', 'VEX.LZ.F2.0F38 F6 /r', 'Gy,By,Ey', '+bmi2'],
  ['BEXTR', 'VEX.LZ.0F38 F7 /r', 'Gy,Ey,By', '+bmi1'],
  ['SHLX', 'VEX.LZ.66.0F38 F7 /r', 'Gy,Ey,By', '+bmi2'],
  ['SARX', 'VEX.LZ.F3.0F38 F7 /r', 'Gy,Ey,By', '+bmi2'],
  ['SHRX', 'VEX.LZ.F2.0F38 F7 /r', 'Gy,Ey,By', '+bmi2'],
  ['RORX', 'VEX.LZ.F2.0F3A F0 /r', 'Gy,Ey,Ib', '+bmi2'],
  ['BLCFILL', 'XOP.LZ.X9 01 /1', 'By,Ey', '+tbm'],
  ['BLSFILL', 'XOP.LZ.X9 01 /2', 'By,Ey', '+tbm'],
  ['BLCS', 'XOP.LZ.X9 01 /3', 'By,Ey', '+tbm'],
  ['TZMSK', 'XOP.LZ.X9 01 /4', 'By,Ey', '+tbm'],
  ['BLCIC', 'XOP.LZ.X9 01 /5', 'By,Ey', '+tbm'],
  ['BLSIC', 'XOP.LZ.X9 01 /6', 'By,Ey', '+tbm'],
  ['T1MSKC', 'XOP.LZ.X9 01 /7', 'By,Ey', '+tbm'],
  ['BLCMSK', 'XOP.LZ.X9 02 /1', 'By,Ey', '+tbm'],
  ['BLCI', 'XOP.LZ.X9 02 /6', 'By,Ey', '+tbm'],
  ['BEXTR', 'XOP.LZ.XA 10 /r', 'Gy,Ey,Id', '+tbm'],
];
