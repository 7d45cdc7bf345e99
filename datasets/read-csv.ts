import { BadFileError, NotFiniteError } from '../protocol/errors.js';
import { csvRecords } from './csv-records.js';
import { isNumber, type LabelKind, LabelSurvey } from './labels.js';
import { labelArray, type RowBatch, rowsPerBatch, type RowSource } from './rows.js';

export interface CsvOptions {
  /** Label column: its name in the header, or its index from 0. */
  label: string;
  labelKind?: LabelKind;
  /** Column of the rows' weights, if there is one: its name in the header, or its index from 0. */
  weight?: string | undefined;
  /** Whether the first line names the columns. `auto`: if it has the label's name or, for an index, a feature that is no number. */
  header?: boolean | 'auto';
  delimiter?: string;
}

interface Columns {
  names: string[];
  hasHeader: boolean;
  label: number;
  /** −1 if there is none. */
  weight: number;
}

/**
 * The rows of a CSV file: every column but those of the label and the weight is a feature. Two passes, one for the number of rows and the
 * labels, one for the rows. Throws `BadFileError` or `NotFiniteError` with the line, the column and the source row.
 */
export async function readCsv(path: string, options: CsvOptions): Promise<RowSource> {
  const { delimiter = ',', labelKind = 'auto' } = options;
  let columns: Columns | undefined;
  let rows = 0;
  const survey = new LabelSurvey();
  const first = csvRecords(path, delimiter, (cells, line) => {
    if (!columns) {
      columns = columnsOf(path, cells, options);
      if (columns.hasHeader) return undefined;
    }
    survey.add(labelCell(path, columns, cells, line, rows));
    rows++;
    return undefined;
  });
  await first.next();
  if (!columns || rows === 0) throw new BadFileError(`${path} has no rows`);
  const { label, weight, names, hasHeader } = columns;
  const plan = survey.plan(labelKind, names[label]!);
  const table = columns;
  const weighted = weight >= 0;
  const width = names.length - (weighted ? 2 : 1);

  async function* batches(): AsyncGenerator<RowBatch> {
    const batchRows = rowsPerBatch(width);
    let firstRow = 0;
    let batch = emptyBatch();
    function emptyBatch() {
      const count = Math.min(batchRows, rows - firstRow);
      return {
        features: new Float32Array(count * width),
        labels: labelArray(plan.labels, count),
        weights: weighted ? new Float32Array(count) : undefined,
        rows: 0,
        firstRow,
      };
    }
    let isHeader = hasHeader;
    yield* csvRecords(path, delimiter, (cells, line): RowBatch | undefined => {
      if (isHeader) {
        isHeader = false;
        return undefined;
      }
      const row = firstRow + batch.rows;
      if (row >= rows) throw new BadFileError(`${path} grew while it was read`);
      let at = batch.rows * width;
      for (let column = 0; column < cells.length; column++) {
        if (column === label) continue;
        const value = Math.fround(number(cells[column]!));
        if (!Number.isFinite(value)) throw badCell(path, table, cells[column]!, column, line, row);
        if (column === weight) batch.weights![batch.rows] = value;
        else batch.features[at++] = value;
      }
      const text = labelCell(path, table, cells, line, row);
      const value = plan.encode(text);
      if (value === undefined || !Number.isFinite(Math.fround(value)))
        throw badCell(path, table, text, label, line, row);
      batch.labels[batch.rows++] = value;
      if (row + 1 < rows && batch.rows < batchRows) return undefined;
      const full = batch;
      firstRow = row + 1;
      batch = emptyBatch();
      return full;
    });
    if (firstRow !== rows) throw new BadFileError(`${path} shrank while it was read`);
  }
  return {
    rows,
    width,
    labels: plan.labels,
    weighted,
    description: `${path}, label column "${names[label]}" (${plan.description})`,
    [Symbol.asyncIterator]: batches,
  };
}

function columnsOf(path: string, cells: string[], { label, weight, header = 'auto' }: CsvOptions): Columns {
  const named = cells.map((cell) => cell.trim());
  const asIndex = (column: string) => (/^\d+$/.test(column) ? Number(column) : -1);
  const labelIndex = asIndex(label);
  const isWord = (cell: string, column: number) =>
    column !== labelIndex && !isNumber(cell) && !isNotFinite(cell);
  const hasHeader =
    header === 'auto' ? (labelIndex < 0 ? named.includes(label) : named.some(isWord)) : header;
  const find = (column: string, option: string) => {
    const index = hasHeader && named.includes(column) ? named.indexOf(column) : asIndex(column);
    if (index >= 0 && index < cells.length) return index;
    throw new BadFileError(`${path} has no column "${column}"`, {
      hint: `its ${cells.length} columns begin with ${named.slice(0, 8).join(', ')}; choose one with ${option}, by name or by index from 0`,
    });
  };
  const columns = {
    label: find(label, '--label'),
    weight: weight === undefined ? -1 : find(weight, '--weight'),
  };
  if (cells.length < (weight === undefined ? 2 : 3))
    throw new BadFileError(
      `${path} has ${cells.length === 1 ? 'one column' : 'two columns'} and no features`,
      {
        hint: 'say what separates the cells with --delimiter',
      },
    );
  return { names: hasHeader ? named : named.map((_, column) => `${column}`), hasHeader, ...columns };
}

function labelCell(path: string, columns: Columns, cells: string[], line: number, row: number): string {
  const text = cells[columns.label]!.trim();
  if (text === '' || isNotFinite(text)) throw badCell(path, columns, text, columns.label, line, row);
  return text;
}

/** NaN for an empty cell, which Number() takes for 0. */
function number(text: string): number {
  const value = Number(text);
  return value === 0 && text.trim() === '' ? NaN : value;
}

function isNotFinite(text: string): boolean {
  return /^[+-]?(nan|inf|infinity)$/i.test(text);
}

function badCell(path: string, { names }: Columns, cell: string, column: number, line: number, row: number) {
  const where = `${path}, line ${line}, column "${names[column]}" (source row ${row})`;
  const details = { path, line, column: names[column], sourceRow: row };
  const text = cell.trim();
  if (isNotFinite(text) || isNumber(text))
    return new NotFiniteError(`${text} in ${where} is no finite float32 number`, {
      hint: 'remove or fill in such rows before the import',
      details,
    });
  return new BadFileError(
    text === '' ? `empty cell in ${where}` : `"${text.slice(0, 40)}" in ${where} is no number`,
    {
      hint: 'every feature is a number; choose the label column with --label',
      details,
    },
  );
}
