export interface Column {
  title: string;
  align?: 'left' | 'right';
}

/** Aligned columns under their titles. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const titles = columns.map(({ title }) => title);
  const widths = columns.map((_, index) =>
    Math.max(...[titles, ...rows].map((cells) => (cells[index] ?? '').length)),
  );
  const line = (cells: readonly string[]) =>
    columns
      .map(({ align }, index) => {
        const cell = cells[index] ?? '';
        return align === 'right' ? cell.padStart(widths[index]!) : cell.padEnd(widths[index]!);
      })
      .join('  ')
      .trimEnd();
  return [titles, ...rows].map(line).join('\n');
}

/** One JSON document on one line: vectors as arrays, whole 64-bit numbers as numbers or, where those end, strings. */
export function toJson(document: unknown): string {
  return JSON.stringify(document, (_key, value: unknown) => {
    if (typeof value === 'bigint')
      return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
    if (value instanceof Float32Array || value instanceof Float64Array || value instanceof Int32Array)
      return Array.from(value);
    return value;
  });
}

/** A command's result on standard output: text for people, or with `--json` the document. */
export function print(options: { json?: boolean }, document: unknown, text: () => string): void {
  process.stdout.write(`${options.json ? toJson(document) : text()}\n`);
}
