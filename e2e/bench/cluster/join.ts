import type { BenchmarkOptions } from '../arguments.ts';
export async function runJoinBenchmark(_: BenchmarkOptions): Promise<void> {}
