import { BadRequestError } from './errors.js';

/**
 * Every subject, stream and bucket name. All are rooted at `<prefix>.v1` (`<prefix>_v1` where dots are not allowed), so
 * that several farms can share a server and a later protocol can run beside this one.
 * @throws BadRequestError where the prefix cannot be part of a subject and of a bucket's name
 */
export function names(prefix = 'ihvp') {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(prefix))
    throw new BadRequestError(`"${prefix}" cannot be a prefix`, {
      hint: 'use 1–64 letters, digits, "_" or "-"',
    });
  const root = `${prefix}.v1`;
  const store = `${prefix}_v1`;
  return {
    prefix,
    /** Request–reply with any coordinator. */
    jobs: {
      group: `${root}.jobs`,
      submit: `${root}.jobs.submit`,
      status: `${root}.jobs.status`,
      cancel: `${root}.jobs.cancel`,
      result: `${root}.jobs.result`,
      list: `${root}.jobs.list`,
    },
    /** Events of one job; `id` may be `*`. */
    job: (id: string) => ({
      state: `${root}.job.${id}.state`,
      progress: `${root}.job.${id}.progress`,
      cancel: `${root}.job.${id}.cancel`,
    }),
    /** One coordinator; `id` may be `*`. */
    coordinator: (id: string) => ({
      heartbeat: `${root}.coordinator.${id}.heartbeat`,
      reply: `${root}.coordinator.${id}.reply`,
    }),
    /** One worker; `id` may be `*`. */
    worker: (id: string) => ({
      group: `${root}.worker.${id}`,
      heartbeat: `${root}.worker.${id}.heartbeat`,
      task: `${root}.worker.${id}.task`,
    }),
    /** Vector frames of one sender, and what its receivers answer. */
    blocks: (owner: string) => ({
      sent: `${root}.blocks.${owner}.sent`,
      credit: `${root}.blocks.${owner}.credit`,
      resend: `${root}.blocks.${owner}.resend`,
    }),
    /** JetStream. */
    stores: {
      /** Work-queue stream of submitted jobs and the one subject it takes. */
      queue: { stream: `${store}_queue`, subject: `${root}.queue`, consumer: 'coordinators' },
      /** KV: job id → job record. */
      jobs: `${store}_jobs`,
      /** Object stores. */
      datasets: `${store}_datasets`,
      shards: `${store}_shards`,
      models: `${store}_models`,
      vectors: `${store}_vectors`,
      results: `${store}_results`,
      spectra: `${store}_spectra`,
    },
  };
}

export type Names = ReturnType<typeof names>;
