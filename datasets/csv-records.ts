import { createReadStream } from 'node:fs';
import { CsvError, parse } from 'csv-parse';
import { BadFileError } from '../protocol/errors.js';
import { unreadable } from './unreadable.js';

/** Bytes of text of one line: room for millions of cells. */
const maxLineBytes = 2 ** 28;

/**
 * Calls `onRecord(cells, line)` for each line of a CSV file (RFC 4180; line numbers from 1; blank lines skipped) and
 * yields what it returns, if anything. Throws `BadFileError` on a ragged line or broken quotes.
 */
export async function* csvRecords<T>(
  path: string,
  delimiter: string,
  onRecord: (cells: string[], line: number) => T | undefined,
): AsyncGenerator<T> {
  const ready: T[] = [];
  const input = createReadStream(path, { highWaterMark: 2 ** 18 });
  const parser = parse({
    delimiter,
    bom: true,
    skip_empty_lines: true,
    max_record_size: maxLineBytes,
    // Called as the lines are parsed; only a line with a result becomes an object of the stream.
    on_record(cells, { lines }) {
      const value = onRecord(cells, lines);
      if (value === undefined) return null;
      ready.push(value);
      return cells;
    },
  });
  input.on('error', (error) => parser.destroy(error));
  try {
    const results = input.pipe(parser)[Symbol.asyncIterator]();
    while (!(await results.next()).done) yield ready.shift()!;
  } catch (error) {
    throw error instanceof CsvError ? badLine(path, error) : unreadable(path, error);
  } finally {
    input.destroy();
    parser.destroy();
  }
}

function badLine(path: string, error: CsvError): BadFileError {
  const line: unknown = error.lines;
  if (error.code === 'CSV_RECORD_INCONSISTENT_FIELDS_LENGTH') {
    const cells = Array.isArray(error.record) ? error.record.length : 'another number of';
    return new BadFileError(`${path}, line ${line}: ${cells} cells, unlike the lines before it`, {
      hint: 'give every line as many cells as the first',
      details: { path, line },
    });
  }
  return new BadFileError(`${path}, line ${line}: ${error.message}`, { details: { path, line } });
}
