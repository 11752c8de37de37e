/** Something that must hold at every instant does not; the message says what, and ends with the rule. */
export class InvariantBroken extends Error {}
