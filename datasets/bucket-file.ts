import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * A temporary file of 32-bit words: written to the end through a buffer, then read from the start. It has no name
 * (unlinked while open), so that the system frees it when it is closed or the process ends, in whatever way.
 */
export class BucketFile {
  /** Words added so far. */
  words = 0;
  private readonly buffer: Uint32Array;
  private buffered = 0;
  private written = 0;
  private closed = false;

  constructor(
    private readonly file: FileHandle,
    bufferWords: number,
  ) {
    this.buffer = new Uint32Array(bufferWords);
  }

  /** Whether the buffer has no room for `words` more; then `flush` before `add`. */
  isFull(words: number): boolean {
    return this.buffered + words > this.buffer.length;
  }

  add(words: Uint32Array): void {
    this.buffer.set(words, this.buffered);
    this.buffered += words.length;
    this.words += words.length;
  }

  async flush(): Promise<void> {
    await transfer(this.file, 'write', this.buffer.subarray(0, this.buffered), this.written);
    this.written += this.buffered * 4;
    this.buffered = 0;
  }

  /** All words in order, in chunks of about 1 MiB that hold whole records. Flush first. */
  async *read(recordWords: number): AsyncGenerator<Uint32Array> {
    const step = Math.max(1, Math.floor(2 ** 18 / recordWords)) * recordWords;
    for (let at = 0; at < this.words; at += step) {
      const chunk = new Uint32Array(Math.min(step, this.words - at));
      await transfer(this.file, 'read', chunk, at * 4);
      yield chunk;
    }
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await this.file.close();
  }
}

export async function openBuckets(count: number, bufferWords: number): Promise<BucketFile[]> {
  const folder = await mkdtemp(join(tmpdir(), 'ihvp-shuffle-'));
  const files: FileHandle[] = [];
  try {
    for (let index = 0; index < count; index++)
      files.push(await open(join(folder, `${index}`), 'wx+', 0o600));
  } catch (error) {
    for (const file of files) await file.close();
    throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return files.map((file) => new BucketFile(file, bufferWords));
}

/** All the bytes of `words`, however many calls the system takes for them. */
async function transfer(
  file: FileHandle,
  direction: 'read' | 'write',
  words: Uint32Array,
  position: number,
): Promise<void> {
  const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  let done = 0;
  while (done < bytes.length) {
    const rest = bytes.length - done;
    const moved =
      direction === 'write'
        ? (await file.write(bytes, done, rest, position + done)).bytesWritten
        : (await file.read(bytes, done, rest, position + done)).bytesRead;
    if (moved === 0) throw new Error('a temporary file of the shuffle was cut short');
    done += moved;
  }
}
