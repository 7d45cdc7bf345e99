import { names } from '../../protocol/subjects.js';
import { markdownTable } from './schema-tables.js';

interface Subject {
  from: string;
  to: string;
  body: string;
}

/** Who says what on each subject, by its place in `names()`. A subject that is missing here fails the test. */
const subjects: Record<string, Subject> = {
  'jobs.submit': { from: 'client', to: 'a coordinator', body: 'request–reply, [submit](#submit)' },
  'jobs.status': { from: 'client', to: 'a coordinator', body: 'request–reply, [status](#status)' },
  'jobs.cancel': { from: 'client', to: 'a coordinator', body: 'request–reply, [cancel](#cancel)' },
  'jobs.result': { from: 'client', to: 'a coordinator', body: 'request–reply, [result](#result)' },
  'jobs.list': { from: 'client', to: 'a coordinator', body: 'request–reply, [list](#list)' },
  'job.state': {
    from: 'coordinator',
    to: 'anyone',
    body: 'event, [job](#job), whole, at each change of state',
  },
  'job.progress': {
    from: 'coordinator',
    to: 'anyone',
    body: 'event, [progress](#progress), about 4 a second',
  },
  'job.cancel': { from: 'a coordinator', to: 'the one that runs the job', body: 'event, empty' },
  'coordinator.heartbeat': {
    from: 'coordinator',
    to: 'workers, anyone',
    body: 'event, [coordinatorHeartbeat](#coordinatorheartbeat), every second',
  },
  'coordinator.reply': {
    from: 'worker',
    to: 'coordinator',
    body: '[taskReply](#taskreply), on `….reply.<number of the call>`',
  },
  'worker.heartbeat': {
    from: 'worker',
    to: 'coordinators, anyone',
    body: 'event, [workerHeartbeat](#workerheartbeat), every second',
  },
  'worker.task': { from: 'coordinator', to: 'worker', body: 'request–reply, [task](#task)' },
  'blocks.sent': {
    from: "the block's owner",
    to: 'who needs the block',
    body: 'a [vector frame](#vector-frames)',
  },
  'blocks.credit': { from: 'a receiver', to: 'the owner', body: '[credit](#credit)' },
  'blocks.resend': { from: 'a receiver', to: 'the owner', body: '[resend](#resend)' },
  'stores.queue.subject': {
    from: 'a coordinator',
    to: 'the queue stream',
    body: 'durable, [submission](#submission)',
  },
};

/** Stream, consumer and buckets, by their place in `names().stores`. */
const stores: Record<string, string> = {
  'queue.stream': 'work-queue stream: submitted jobs until they are acknowledged as ended',
  'queue.consumer':
    'durable consumer of that stream, shared by all coordinators: explicit acknowledgement within 30 s, renewed while a job runs',
  jobs: 'KV: job id → [job](#job)',
  datasets: 'objects: dataset name → [manifest](datasets.md#manifest)',
  shards: 'objects: `<dataset>/<shard>` → Arrow IPC file',
  models:
    'objects: `<model>/model.json` → [model](models.md#model), `<model>/<sha256>.arrow` → its parameters',
  vectors: 'objects: name → uploaded right-hand sides, Arrow IPC file',
  spectra:
    'objects: what was found out about a Hessian, for later jobs: `<key>/curvature.json` and the like, 1 GiB at most, the oldest going first',
  results: 'objects: `<job>/report.json` → [report](#report), `<job>/solution.arrow` and the like → vectors',
};

/** Names that are no subject of their own: prefixes of those that are. */
const groups = new Set(['jobs.group', 'worker.group']);

/** Every leaf of `names()` as [place, string], functions called with `<id>`. */
function placesOf(value: unknown, place: string[] = []): [string, string][] {
  if (typeof value === 'string') return [[place.join('.'), value]];
  const id = place[0] === 'blocks' ? '<owner>' : '<id>';
  const object: object =
    typeof value === 'function' ? (value as (id: string) => object)(id) : (value as object);
  return Object.entries(object).flatMap(([key, inner]) => placesOf(inner, [...place, key]));
}

export function subjectsTable(): string {
  const places = placesOf(names()).filter(
    ([place]) =>
      place !== 'prefix' &&
      !groups.has(place) &&
      (!place.startsWith('stores.') || place.endsWith('.subject')),
  );
  return markdownTable(
    ['subject', 'from', 'to', 'body'],
    places.map(([place, subject]) => {
      const { from, to, body } = found(subjects, place);
      return [`\`${subject}\``, from, to, body];
    }),
  );
}

export function storesTable(): string {
  const places = placesOf(names().stores).filter(([place]) => !place.endsWith('.subject'));
  return markdownTable(
    ['name', 'what it is'],
    places.map(([place, name]) => [`\`${name}\``, found(stores, place)]),
  );
}

function found<T>(table: Record<string, T>, place: string): T {
  const entry = table[place];
  if (entry === undefined)
    throw new Error(`test/docs/subjects.ts does not say what names().${place} is for: add a line`);
  return entry;
}
