/** Entries of all the lists in the metadata of one file: far more than a shard needs. */
const maxEntries = 4096;
/** In Schema.fbs, `union Type`. */
const union = 14;

/**
 * Walks the metadata (FlatBuffers) of an Arrow IPC file before the Arrow library does. The library believes every
 * length that stands there, so that a damaged file could keep it busy, or fill the memory, for ever. Throws an error if
 * a list is longer than a shard needs or lies outside the file.
 * Layout: https://arrow.apache.org/docs/format/Columnar.html and Arrow's File.fbs, Schema.fbs and Message.fbs.
 */
export function checkEnvelope(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const budget = { entries: maxEntries };
  const file = new Table(view, budget, 0);
  // …, footer, int32 length of the footer, "ARROW1".
  const lengthAt = bytes.length - 10;
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
  if (field.byte(2) === union) throw new RangeError('a union is no column of a shard');
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
