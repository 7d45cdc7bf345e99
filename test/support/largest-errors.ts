/** The largest error of each kind; one that is no number stays. */
export class LargestErrors<Kind extends string> {
  readonly of: Partial<Record<Kind, number>> = {};

  note(kind: Kind, error: number): void {
    this.of[kind] = Math.max(this.of[kind] ?? 0, error);
  }
}

/** Those that are not below the tolerance. */
export function exceeding(errors: Readonly<Record<string, number>>, tolerance: number) {
  return Object.fromEntries(Object.entries(errors).filter(([, error]) => !(error < tolerance)));
}
