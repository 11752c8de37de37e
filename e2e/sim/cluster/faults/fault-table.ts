/** Every kind of fault. Each run knows some of them only (`fault-plan.ts`). */

import { changeFaults } from './change-faults.ts';
import { diskFaults } from './disk-faults.ts';
import { metadataFaults } from './metadata-faults.ts';
import { networkFaults } from './network-faults.ts';
import { processFaults } from './process-faults.ts';
import { userFaults } from './user-faults.ts';

export const faultTable = { ...processFaults, ...networkFaults, ...diskFaults, ...metadataFaults, ...changeFaults, ...userFaults } as const;

export type FaultKind = keyof typeof faultTable;
export const faultKinds = Object.keys(faultTable) as FaultKind[];
