/** Something that the person at the terminal can act on: shown without a stack. */
export class ClusterError extends Error {}
