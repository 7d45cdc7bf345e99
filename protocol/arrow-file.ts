import { type RecordBatch, RecordBatchReader, type TypeMap } from 'apache-arrow';

/** Entries of all the lists in the metadata of one file: far more than shards and vectors need. */
const maxEntries = 65_536;
const magic = 'ARROW1';
/** In Schema.fbs, `union Type`. */
const union = 14;

/**
 * The record batches of an Arrow IPC file, as views into its bytes where these are aligned to 8. Throws some error,
 * of whatever class, if the bytes are no such file; never hangs and never allocates more than the file's size.
 */
export function readArrowFile(bytes: Uint8Array): RecordBatch<TypeMap>[] {
  checkMetadata(bytes);
  const reader = RecordBatchReader.from<TypeMap>(bytes).open();
  if (reader.isAsync() || !reader.isFile()) throw new RangeError('no Arrow IPC file');
  // One by one: the reader's iterator would take up a message of another type again and again.
  return Array.from({ length: reader.numRecordBatches }, (_, index) => {
    const batch = reader.readRecordBatch(index);
    if (!batch) throw new RangeError(`record batch ${index} is missing`);
    return batch;
  });
}

/**
 * Walks the metadata (FlatBuffers) before the Arrow library does. The library believes every
 * length that stands there, so that a damaged file could keep it busy, or fill the memory, for ever. Throws an error if
 * this is no Arrow file, or a list is longer than any of ours or lies outside the file.
 * Layout: https://arrow.apache.org/docs/format/Columnar.html and Arrow's File.fbs, Schema.fbs and Message.fbs.
 */
function checkMetadata(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const budget = { entries: maxEntries };
  const file = new Table(view, budget, 0);
  // …, footer, int32 length of the footer, "ARROW1".
  const text = (from: number) => String.fromCharCode(...bytes.subarray(from, from + magic.length));
  if (text(0) !== magic || text(bytes.length - magic.length) !== magic)
    throw new RangeError('no Arrow IPC file');
  const lengthAt = bytes.length - magic.length - 4;
  const footer = file.root(lengthAt - view.getInt32(lengthAt, true));
  const schema = footer.table(1);
  for (const field of schema?.tables(1) ?? []) checkField(field);
  schema?.count(2);
  footer.count(2);
  footer.count(4);
  // Block: int64 offset, int32 metadata length, int64 body length.
  for (const block of footer.structs(3, 24)) {
    const offset = Number(view.getBigInt64(block, true));
    const prefix = view.getInt32(offset, true) === -1 ? 8 : 4;
    const message = file.root(offset + prefix);
    message.count(4);
    const batch = message.table(2);
    for (const list of [1, 2, 4]) batch?.count(list);
  }
}

function checkField(field: Table): void {
  for (const child of field.tables(5)) checkField(child);
  field.count(6);
  // The only type with a list of its own.
  if (field.byte(2) === union) throw new RangeError('a column is a union');
}

/** A FlatBuffers table; reading outside the file is a RangeError of the DataView. */
class Table {
  constructor(
    private readonly view: DataView,
    private readonly budget: { entries: number },
    private readonly at: number,
  ) {}

  root(at: number): Table {
    return new Table(this.view, this.budget, at + this.view.getUint32(at, true));
  }

  table(slot: number): Table | undefined {
    const at = this.field(slot);
    return at === undefined ? undefined : this.root(at);
  }

  byte(slot: number): number {
    const at = this.field(slot);
    return at === undefined ? 0 : this.view.getUint8(at);
  }

  /** Length of the list in this slot. */
  count(slot: number): number {
    return this.list(slot)?.count ?? 0;
  }

  *tables(slot: number): Generator<Table> {
    for (const at of this.structs(slot, 4)) yield this.root(at);
  }

  *structs(slot: number, size: number): Generator<number> {
    const list = this.list(slot);
    for (let index = 0; index < (list?.count ?? 0); index++) yield list!.at + index * size;
  }

  private list(slot: number): { at: number; count: number } | undefined {
    const at = this.field(slot);
    if (at === undefined) return undefined;
    const start = at + this.view.getUint32(at, true);
    const count = this.view.getUint32(start, true);
    this.budget.entries -= count;
    if (this.budget.entries < 0) throw new RangeError(`more than ${maxEntries} entries in the metadata`);
    return { at: start + 4, count };
  }

  private field(slot: number): number | undefined {
    const vtable = this.at - this.view.getInt32(this.at, true);
    const entry = 4 + 2 * slot;
    if (entry >= this.view.getUint16(vtable, true)) return undefined;
    const offset = this.view.getUint16(vtable + entry, true);
    return offset === 0 ? undefined : this.at + offset;
  }
}
