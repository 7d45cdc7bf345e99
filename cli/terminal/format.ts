/** Numbers as people read them; `--json` output carries the exact ones instead. */

/** Counts in groups of three (`60,000`), other numbers to `digits` significant ones (`0.01235`, `1.235e-7`). */
export function formatNumber(value: number, digits = 4): string {
  if (Number.isSafeInteger(value)) return value.toLocaleString('en-US');
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return String(value);
  return size >= 1e-3 && size < 1e6
    ? value.toLocaleString('en-US', { maximumSignificantDigits: digits })
    : value.toExponential(digits - 1).replace(/\.?0+e/, 'e');
}

const units = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** Decimal units: 1 MB is 1,000,000 bytes. */
export function formatBytes(bytes: number): string {
  // 999.5 would be shown as 1,000 of its unit.
  const power = Math.min(
    units.length - 1,
    Math.max(0, Math.floor(Math.log10(Math.max(bytes, 1) / 0.9995) / 3)),
  );
  return `${formatNumber(bytes / 1000 ** power, 3)} ${units[power]}`;
}

/** `12.3 ms`, `4.56 s`, `2 min 05 s`, `1 h 02 min`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  if (seconds < 0.9995) return `${formatNumber(seconds * 1000, 3)} ms`;
  if (seconds < 59.95) return `${formatNumber(seconds, 3)} s`;
  const whole = Math.round(seconds);
  const padded = (value: number) => String(value).padStart(2, '0');
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${padded(whole % 60)} s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60).toLocaleString('en-US')} h ${padded(minutes % 60)} min`;
}
