import { type FileHandle, open } from 'node:fs/promises';
import { type RecordBatch, RecordBatchReader, type TypeMap } from 'apache-arrow';
import type { Labels } from '../protocol/dataset.js';
import { BadFileError, IhvpError } from '../protocol/errors.js';
import { ArrowTable } from './arrow-table.js';
import { type LabelKind, type LabelPlan, LabelSurvey } from './labels.js';
import { labelArray, labelWidth, type RowBatch, type RowSource } from './rows.js';
import { unreadable } from './unreadable.js';

export interface ArrowOptions {
  /** Name of the label column: numbers, words, booleans, or FixedSizeList<float> for labels of several numbers. */
  label: string;
  labelKind?: LabelKind;
  /** Name of the column of the rows' weights, if there is one. */
  weight?: string | undefined;
}

/**
 * The rows of an Arrow IPC file or stream, one record batch in memory at a time. The features are a FixedSizeList<float>
 * column named `features`, or else every column of numbers but the label's and the weight's. Two passes, one for the number of rows and
 * the labels, one for the rows. Throws `BadFileError` (a null, a column that is no number) or `NotFiniteError` with the
 * column and source row.
 */
export async function readArrow(path: string, options: ArrowOptions): Promise<RowSource> {
  const { label, labelKind = 'auto' } = options;
  const survey = new LabelSurvey();
  let rows = 0;
  let width = 0;
  let vectorLabels: Labels | undefined;
  for await (const table of arrowTables(path, options)) {
    width = table.featureWidth;
    if (table.labelListSize !== undefined) vectorLabels = { kind: 'real', width: table.labelListSize };
    else for (const text of table.labelTexts()) survey.add(text);
    rows += table.rows;
  }
  if (rows === 0) throw new BadFileError(`${path} has no rows`);
  if (vectorLabels && labelKind === 'class')
    throw new BadFileError(`column "${label}" of ${path} holds lists of numbers, not classes`);
  const plan: LabelPlan | undefined = vectorLabels ? undefined : survey.plan(labelKind, label);
  const labels = plan?.labels ?? vectorLabels!;

  async function* batches(): AsyncGenerator<RowBatch> {
    let firstRow = 0;
    for await (const table of arrowTables(path, options)) {
      if (firstRow + table.rows > rows) throw new BadFileError(`${path} grew while it was read`);
      if (table.rows === 0) continue;
      const encoded = plan ? table.encodedLabels(plan, labelArray(labels, table.rows)) : table.listLabels();
      yield {
        features: table.features(),
        labels: encoded,
        weights: table.weights(),
        rows: table.rows,
        firstRow,
      };
      firstRow += table.rows;
    }
    if (firstRow !== rows) throw new BadFileError(`${path} shrank while it was read`);
  }
  const chosen = plan?.description ?? `real, ${labelWidth(labels)} values a row`;
  return {
    rows,
    width,
    labels,
    weighted: options.weight !== undefined,
    description: `${path}, label column "${label}" (${chosen})`,
    [Symbol.asyncIterator]: batches,
  };
}

async function* arrowTables(path: string, options: ArrowOptions): AsyncGenerator<ArrowTable> {
  let firstRow = 0;
  for await (const batch of recordBatches(path)) {
    yield new ArrowTable(path, batch, options, firstRow);
    firstRow += batch.numRows;
  }
}

async function* recordBatches(path: string): AsyncGenerator<RecordBatch<TypeMap>> {
  const file = await open(path).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  try {
    await checkWhole(path, file);
    const reader = await RecordBatchReader.from<TypeMap>(file);
    await reader.open();
    for await (const batch of reader) yield batch;
  } catch (error) {
    if (error instanceof IhvpError) throw error;
    throw new BadFileError(`${path} is no Arrow IPC file or stream, or is damaged: ${String(error)}`, {
      hint: 'write it as an uncompressed Arrow IPC file',
      cause: error,
    });
  } finally {
    await file.close();
  }
}

/** An Arrow file begins and ends with the same six letters; without those at the end it was cut short. */
async function checkWhole(path: string, file: FileHandle): Promise<void> {
  const magic = 'ARROW1';
  const { size } = await file.stat();
  const read = async (position: number) =>
    (await file.read(Buffer.alloc(magic.length), 0, magic.length, position)).buffer.toString('latin1');
  if (size === 0) throw new BadFileError(`${path} is empty`);
  if ((await read(0)) === magic && (await read(Math.max(0, size - magic.length))) !== magic)
    throw new BadFileError(`${path} is an Arrow file that was cut short`);
}
