import cliProgress from 'cli-progress';
import { formatDuration, formatNumber } from './format.js';

const lineMilliseconds = 5000;

export interface ProgressOptions {
  /** What is being done: `import`, `solve`. */
  label: string;
  total: number;
  /** With `--json` nothing is shown. */
  json?: boolean;
  stream?: Stream;
}

type Stream = NodeJS.WritableStream & { isTTY?: boolean };

export interface Progress {
  /** `note` stays until another one is given. */
  update(value: number, note?: string): void;
  /** Ends the bar where it stands. Call it in `finally`: a bar that is not ended keeps the process running. */
  stop(): void;
}

export interface ProgressState {
  label: string;
  value: number;
  total: number;
  note: string;
  seconds: number;
}

/** On standard error: a bar on a terminal, elsewhere a line at the start, every five seconds, and at the end. */
export function startProgress(options: ProgressOptions): Progress {
  const stream = options.stream ?? process.stderr;
  if (options.json) return { update: () => {}, stop: () => {} };
  return stream.isTTY ? bar(options, stream) : lines(options, stream);
}

function bar({ label, total }: ProgressOptions, stream: Stream): Progress {
  const single = new cliProgress.SingleBar(
    {
      format: '{label} [{bar}] {value}/{total} {note} ETA {eta_formatted}',
      formatValue: (value, _options, type) =>
        type === 'value' || type === 'total' ? formatNumber(value) : String(value),
      formatTime: (seconds) => formatDuration(seconds),
      barsize: 24,
      stream,
      // Settings of the terminal that a killed process would leave behind.
      linewrap: null,
      hideCursor: null,
    },
    cliProgress.Presets.legacy,
  );
  single.start(total, 0, { label, note: '' });
  return {
    update: (value, note) => single.update(value, note === undefined ? {} : { note }),
    stop: () => single.stop(),
  };
}

function lines({ label, total }: ProgressOptions, stream: Stream): Progress {
  const begun = Date.now();
  let [value, note, shown, shownAt] = [0, '', '', begun];
  const show = () => {
    const line = progressLine({ label, value, total, note, seconds: (Date.now() - begun) / 1000 });
    if (line !== shown) stream.write(`${line}\n`);
    [shown, shownAt] = [line, Date.now()];
  };
  show();
  return {
    update: (newValue, newNote = note) => {
      [value, note] = [newValue, newNote];
      if (Date.now() - shownAt >= lineMilliseconds) show();
    },
    stop: show,
  };
}

/** `solve: 12/100 (12 %), residual 1.2e-3, 4.5 s` */
export function progressLine({ label, value, total, note, seconds }: ProgressState): string {
  const percent = total > 0 ? ` (${Math.floor((100 * value) / total)} %)` : '';
  const parts = [`${formatNumber(value)}/${formatNumber(total)}${percent}`, note, formatDuration(seconds)];
  return `${label}: ${parts.filter((part) => part !== '').join(', ')}`;
}
