import { hnswlibIndexFactory } from './hnswlib-index.ts';
import { vectorIndexConformance } from './vector-index.conformance.ts';

vectorIndexConformance('hnswlib', hnswlibIndexFactory);
