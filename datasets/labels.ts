import type { Labels } from '../protocol/dataset.js';
import { BadFileError } from '../protocol/errors.js';

export type LabelKind = 'class' | 'real' | 'auto';

/** More distinct values than this are no classes. */
const maxClasses = 65_536;

export interface LabelPlan {
  labels: Labels;
  /** The stored value of a label as it stands in the file; undefined if it fits neither the kind nor the first pass. */
  encode(value: string): number | undefined;
  /** What was chosen, for people: `class, 3 classes`. */
  description: string;
}

/** A first pass over the label column, to choose between class ids and real numbers and to number the classes. */
export class LabelSurvey {
  private readonly distinct = new Set<string>();
  private word: string | undefined;
  private words = 0;

  add(value: string): void {
    if (this.distinct.size > maxClasses || this.distinct.has(value)) return;
    this.distinct.add(value);
    if (isNumber(value)) return;
    this.word ??= value;
    this.words++;
  }

  /**
   * `auto`: class ids if the values are words, or exactly the integers 0…C−1 (C ≥ 2); else real. Classes that are
   * non-negative integers are their own ids; any other values are numbered in sorted order. Throws `BadFileError`.
   */
  plan(kind: LabelKind, column: string): LabelPlan {
    const tooMany = this.distinct.size > maxClasses;
    const ids = [...this.distinct].map(Number);
    const integers = !tooMany && ids.every((id) => Number.isInteger(id) && id >= 0);
    const largest = integers ? Math.max(...ids) : 0;
    const consecutive = integers && largest >= 1 && new Set(ids).size === largest + 1;
    if (kind === 'real' || (kind === 'auto' && this.words === 0 && !consecutive)) return real;
    if (kind === 'auto' && this.words > 0 && this.words < this.distinct.size)
      throw new BadFileError(`column "${column}" has numbers and words, such as "${this.word}"`, {
        hint: 'mend the file, or say --label-kind class if each value is a class',
      });
    if (tooMany || largest >= maxClasses)
      throw new BadFileError(`column "${column}" has more than ${maxClasses} classes`, {
        hint: 'choose another label column with --label, or say --label-kind real',
      });
    return integers ? integerClasses(Math.max(2, largest + 1)) : namedClasses(this.sorted(), column);
  }

  private sorted(): string[] {
    return [...this.distinct].sort(this.words === 0 ? (a, b) => Number(a) - Number(b) : undefined);
  }
}

const real: LabelPlan = {
  labels: { kind: 'real', width: 1 },
  encode: (value) => (isNumber(value) ? Number(value) : undefined),
  description: 'real',
};

function integerClasses(classes: number): LabelPlan {
  return {
    labels: { kind: 'class', classes },
    encode(value) {
      const id = Number(value);
      return Number.isInteger(id) && id >= 0 && id < classes ? id : undefined;
    },
    description: `class, ${classes} classes`,
  };
}

function namedClasses(names: string[], column: string): LabelPlan {
  if (names.length < 2)
    throw new BadFileError(
      `column "${column}" has no value but "${names[0]}": there are no classes to tell apart`,
      {
        hint: 'choose another label column with --label',
      },
    );
  const ids = new Map(names.map((name, id) => [name, id]));
  return {
    labels: { kind: 'class', classes: names.length, names },
    encode: (value) => ids.get(value),
    description: `class, ${names.length} classes`,
  };
}

export function isNumber(text: string): boolean {
  return text.trim() !== '' && !Number.isNaN(Number(text));
}
