import { Svcm, type Service, type ServiceMsg } from '@nats-io/services';
import { nuid, type NatsConnection } from '@nats-io/nats-core';
import type { z } from 'zod';
import { AlreadyExistsError, toWire, TooLargeError } from '../protocol/errors.js';
import { isFinished, type Job } from '../protocol/jobs.js';
import { parseJson } from '../protocol/parse.js';
import type { Request } from '../protocol/requests.js';
import { endpoints, type EndpointName } from '../protocol/services.js';
import type { Names } from '../protocol/subjects.js';
import { version } from '../protocol/version.js';
import { prepare } from './prepare.js';
import { loadResult } from './results.js';
import type { Stores } from './stores.js';

type Handlers = {
  [Name in EndpointName]: (
    request: z.infer<(typeof endpoints)[Name]['request']>,
  ) => Promise<z.infer<(typeof endpoints)[Name]['reply']>>;
};

/** Answers clients on the `jobs.` endpoints; any coordinator can answer any client. */
export async function startJobService(nc: NatsConnection, names: Names, stores: Stores): Promise<Service> {
  const service = await new Svcm(nc).add({
    name: `${names.prefix}-coordinator`,
    version,
    description: 'takes jobs: submit, status, cancel, result, list',
  });
  const group = service.addGroup(names.jobs.group);
  const handlers = makeHandlers(nc, names, stores);
  for (const name of Object.keys(endpoints) as EndpointName[])
    group.addEndpoint(name, {
      handler: (error, message) => {
        // What still fails is the connection, and whoever asked asks again.
        if (!error) answer(name, handlers, message).catch(() => {});
      },
    });
  return service;
}

async function answer(name: EndpointName, handlers: Handlers, message: ServiceMsg): Promise<void> {
  let reply: object;
  try {
    const request = parseJson(endpoints[name].request, message.data, `the ${name} request`);
    const handler = handlers[name] as (request: unknown) => Promise<object>;
    reply = { ok: true, ...(await handler(request)) };
  } catch (error) {
    reply = { ok: false, error: toWire(error) };
  }
  try {
    message.respond(JSON.stringify(reply));
  } catch (cause) {
    const error = new TooLargeError(`the reply to ${name} does not fit a message: ${String(cause)}`);
    message.respond(JSON.stringify({ ok: false, error: toWire(error) }));
  }
}

function makeHandlers(nc: NatsConnection, names: Names, stores: Stores): Handlers {
  const { jobs, results } = stores;
  return {
    submit: async ({ id, request }) => {
      await prepare(request, stores);
      await checkMayStore(request, stores);
      return { job: await jobs.submit({ id: id ?? nuid.next(), request }) };
    },
    status: async ({ id }) => ({ job: await jobs.get(id) }),
    list: async ({ limit }) => ({ jobs: fitting(await jobs.list(limit), (nc.info?.max_payload ?? 0) / 2) }),
    result: async ({ id }) => loadResult(results, await jobs.get(id)),
    cancel: async ({ id }) => {
      const job = await jobs.change(id, (current) => {
        if (isFinished(current.state)) return undefined;
        if (current.state !== 'queued') return { ...current, cancelRequested: true };
        const finished = new Date().toISOString();
        return { ...current, state: 'cancelled', message: 'cancelled before it began', finished };
      });
      if (!isFinished(job.state)) nc.publish(names.job(id).cancel);
      return { job };
    },
  };
}

/** The first jobs, as many as fit a message of so many bytes. */
function fitting(jobs: Job[], bytes: number): Job[] {
  let used = 0;
  return jobs.filter((job) => (used += Buffer.byteLength(JSON.stringify(job))) <= bytes);
}

/** A fit may move its own model's parameters, but no other model's unless told to. */
async function checkMayStore(request: Request, { models }: Stores): Promise<void> {
  if (request.type !== 'fit' || request.replace || request.into === request.model) return;
  if ((await models.names()).includes(request.into))
    throw new AlreadyExistsError(`there is a model "${request.into}" already`, {
      hint: 'choose another name, or say --replace',
      details: { model: request.into },
    });
}
