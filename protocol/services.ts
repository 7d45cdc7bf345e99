import { z } from 'zod';
import { errorSchema, fileSchema, jobSchema, reportSchema } from './jobs.js';
import { nameSchema } from './names.js';
import { requestSchema } from './requests.js';

/** What lies in the queue. */
export const submissionSchema = z.strictObject({ id: nameSchema, request: requestSchema });
export type Submission = z.infer<typeof submissionSchema>;

/** Bodies of the request–reply endpoints under `jobs.`; a reply is `{ ok: true, … }` or `{ ok: false, error }`. */
export const endpoints = {
  submit: {
    request: z.strictObject({
      /** Chosen by the client, so that a repeated submission is the same job. */
      id: nameSchema.optional(),
      request: requestSchema,
    }),
    reply: z.object({ job: jobSchema }),
  },
  status: { request: z.strictObject({ id: nameSchema }), reply: z.object({ job: jobSchema }) },
  cancel: { request: z.strictObject({ id: nameSchema }), reply: z.object({ job: jobSchema }) },
  result: {
    request: z.strictObject({ id: nameSchema }),
    reply: z.object({ job: jobSchema, report: reportSchema, files: z.array(fileSchema) }),
  },
  list: {
    /** Newest first. */
    request: z.strictObject({ limit: z.int().min(1).max(1000).default(50) }),
    reply: z.object({ jobs: z.array(jobSchema) }),
  },
} as const;

export type EndpointName = keyof typeof endpoints;

/** Any reply: the error half, or whatever the success half carries. */
export const replySchema = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(true) }).loose(),
  z.object({ ok: z.literal(false), error: errorSchema }),
]);
