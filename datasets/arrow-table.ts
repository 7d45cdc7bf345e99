import {
  type Data,
  DataType,
  type Field,
  type Float,
  type Float16,
  type Int,
  Precision,
  type RecordBatch,
  Type,
  type TypeMap,
  Vector,
} from 'apache-arrow';
import { BadFileError, NotFiniteError } from '../protocol/errors.js';
import type { LabelPlan } from './labels.js';
import type { LabelArray } from './rows.js';

/** One record batch of a source file, seen as features and labels. Errors name the column and the source row. */
export class ArrowTable {
  readonly rows: number;
  readonly featureWidth: number;
  /** Values of a label if the label column holds lists. */
  readonly labelListSize: number | undefined;
  private readonly featureFields: Field<DataType>[];
  private readonly labelField: Field<DataType>;
  private readonly weightField: Field<DataType> | undefined;

  constructor(
    private readonly path: string,
    private readonly batch: RecordBatch<TypeMap>,
    { label, weight }: { label: string; weight?: string | undefined },
    private readonly firstRow: number,
  ) {
    this.rows = batch.numRows;
    const { fields } = batch.schema;
    const names = fields.map((field) => field.name);
    const find = (name: string, option: string) => {
      const field = fields.find((candidate) => candidate.name === name);
      if (field) return field;
      throw new BadFileError(`${path} has no column "${name}"`, {
        hint: `its columns are ${names.slice(0, 8).join(', ')}; choose one with ${option}`,
      });
    };
    const labelField = find(label, '--label');
    const weightField = weight === undefined ? undefined : find(weight, '--weight');
    this.labelField = labelField;
    this.weightField = weightField;
    const list = fields.find((field) => field.name === 'features' && DataType.isFixedSizeList(field.type));
    this.featureFields =
      list && list !== labelField
        ? [list]
        : fields.filter((field) => field !== labelField && field !== weightField);
    this.featureWidth = this.featureFields.reduce((sum, field) => sum + this.widthOf(field), 0);
    if (this.featureWidth === 0)
      throw new BadFileError(`${path} has no column of features beside "${label}"`);
    this.labelListSize = DataType.isFixedSizeList(labelField.type) ? this.widthOf(labelField) : undefined;
  }

  /** rows × featureWidth. */
  features(): Float32Array {
    const out = new Float32Array(this.rows * this.featureWidth);
    let offset = 0;
    for (const field of this.featureFields) {
      this.copy(field, out, this.featureWidth, offset);
      offset += this.widthOf(field);
    }
    return out;
  }

  /** One a row; undefined without a weight column. */
  weights(): Float32Array | undefined {
    const field = this.weightField;
    if (!field) return undefined;
    if (this.widthOf(field) !== 1) throw this.noNumbers(field);
    const out = new Float32Array(this.rows);
    this.copy(field, out, 1, 0);
    return out;
  }

  /** rows × labelListSize. */
  listLabels(): Float32Array {
    const width = this.widthOf(this.labelField);
    const out = new Float32Array(this.rows * width);
    this.copy(this.labelField, out, width, 0);
    return out;
  }

  /** Each label as text, in order. */
  *labelTexts(): Generator<string> {
    const column = this.column(this.labelField);
    for (let row = 0; row < this.rows; row++) {
      const value: unknown = column.get(row);
      if (value === null) throw this.nullAt(this.labelField, row);
      if (typeof value === 'boolean') yield value ? '1' : '0';
      else if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'string') {
        if (typeof value === 'number' && !Number.isFinite(value))
          throw this.notFinite(this.labelField, row, value);
        yield `${value}`;
      } else throw this.noNumbers(this.labelField);
    }
  }

  encodedLabels<T extends LabelArray>(plan: LabelPlan, out: T): T {
    let row = 0;
    for (const text of this.labelTexts()) {
      const value = plan.encode(text);
      if (value === undefined)
        throw new BadFileError(
          `"${text.slice(0, 40)}" in ${this.where(this.labelField, row)} is no label (${plan.description})`,
        );
      if (!Number.isFinite(Math.fround(value))) throw this.notFinite(this.labelField, row, value);
      out[row++] = value;
    }
    return out;
  }

  private widthOf(field: Field<DataType>): number {
    const { type } = field;
    if (DataType.isFixedSizeList(type)) return type.listSize;
    if (DataType.isFloat(type) || DataType.isInt(type)) return 1;
    throw this.noNumbers(field);
  }

  /** The column into out[row * stride + offset …], as float32. */
  private copy(field: Field<DataType>, out: Float32Array, stride: number, offset: number): void {
    const column = this.column(field).data[0]!;
    const width = this.widthOf(field);
    const isList = DataType.isFixedSizeList(field.type);
    const items = isList ? column.children[0]! : column;
    if (column.nullCount > 0) throw this.nullAt(field, firstNull(column));
    if (items.nullCount > 0) throw this.nullAt(field, Math.floor(firstNull(items) / width));
    const numbers = numbersOf(items);
    if (!numbers) throw this.noNumbers(field);
    for (let row = 0, from = 0; row < this.rows; row++)
      for (let at = row * stride + offset, end = at + width; at < end; at++, from++) {
        out[at] = Number(numbers[from]);
        if (!Number.isFinite(out[at])) throw this.notFinite(field, row, numbers[from]);
      }
  }

  private column(field: Field<DataType>): Vector<DataType> {
    return this.batch.getChild(field.name)!;
  }

  private where(field: Field<DataType>, row: number): string {
    return `column "${field.name}" of ${this.path}, source row ${this.firstRow + row}`;
  }

  private details(field: Field<DataType>, row: number) {
    return { path: this.path, column: field.name, sourceRow: this.firstRow + row };
  }

  private nullAt(field: Field<DataType>, row: number): BadFileError {
    return new BadFileError(`null in ${this.where(field, row)}`, {
      hint: 'remove or fill in such rows before the import',
      details: this.details(field, row),
    });
  }

  private notFinite(field: Field<DataType>, row: number, value: unknown): NotFiniteError {
    return new NotFiniteError(`${value} in ${this.where(field, row)} is no finite float32 number`, {
      hint: 'remove or fill in such rows before the import',
      details: this.details(field, row),
    });
  }

  private noNumbers({ name, type }: Field<DataType>): BadFileError {
    return new BadFileError(
      `column "${name}" of ${this.path} is ${Type[type.typeId]}, which is not read as numbers`,
      {
        hint: 'leave the column out, turn it into numbers, or put all features into one FixedSizeList<float> column "features"',
      },
    );
  }
}

function numbersOf(data: Data): ArrayLike<number | bigint> | undefined {
  // Half floats are stored as bits; the vector turns them into numbers.
  if (isHalf(data)) return Float32Array.from(new Vector([data]), Number);
  return isNumeric(data) ? data.values : undefined;
}

function isNumeric(data: Data): data is Data<Float | Int> {
  return DataType.isFloat(data.type) || DataType.isInt(data.type);
}

function isHalf(data: Data): data is Data<Float16> {
  return DataType.isFloat(data.type) && data.type.precision === Precision.HALF;
}

function firstNull(data: Data): number {
  let index = 0;
  while (data.getValid(index)) index++;
  return index;
}
