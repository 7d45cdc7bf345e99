import { crc32 } from 'node:zlib';
import { headers, type MsgHdrs } from '@nats-io/nats-core';

/**
 * A vector frame is a NATS message whose payload is a run of little-endian floats and whose headers say which: nothing
 * but `nats sub` is needed to look at one.
 */
export interface Frame {
  block: number;
  index: number;
  total: number;
  payload: Uint8Array;
}

/** Half of NATS's default `max_payload`, so that frames and headers always fit. */
export const frameBytes = 512 * 1024;

const field = { block: 'Ihvp-Block', index: 'Ihvp-Frame', total: 'Ihvp-Frames', crc: 'Ihvp-Crc32' } as const;

/** How many frames `bytes` take; an empty block is one empty frame. */
export function frameCount(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / frameBytes));
}

/** The payload of frame `index` of a block, as a view. */
export function framePayload(block: Uint8Array, index: number): Uint8Array {
  return block.subarray(index * frameBytes, (index + 1) * frameBytes);
}

export function frameHeaders(frame: Frame): MsgHdrs {
  const fields = headers();
  fields.set(field.block, String(frame.block));
  fields.set(field.index, String(frame.index));
  fields.set(field.total, String(frame.total));
  fields.set(field.crc, crc32(frame.payload).toString(16));
  return fields;
}

/** The frame in a message, or undefined where the headers are not a frame's or the checksum is not the payload's. */
export function readFrame(fields: MsgHdrs | undefined, payload: Uint8Array): Frame | undefined {
  if (!fields) return undefined;
  const integer = (name: string) => {
    const text = fields.get(name);
    return /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  };
  const frame = {
    block: integer(field.block),
    index: integer(field.index),
    total: integer(field.total),
    payload,
  };
  if (!(frame.block >= 0 && frame.index >= 0 && frame.index < frame.total)) return undefined;
  return crc32(payload).toString(16) === fields.get(field.crc) ? frame : undefined;
}
